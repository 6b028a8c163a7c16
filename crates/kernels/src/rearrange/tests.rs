use super::*;
use crate::testing::Lcg;

/// By the definition, element for element.
fn oracle(view: &View) -> Vec<f32> {
    let count = view.shape.iter().product();
    let element = |mut number: usize| {
        let mut at = view.offset as isize;
        for (extent, stride) in view.shape.iter().zip(view.strides).rev() {
            at += (number % extent) as isize * stride;
            number /= extent;
        }
        view.data[at as usize]
    };
    (0..count).map(element).collect()
}

fn strides(shape: &[usize]) -> Vec<isize> {
    let mut strides = vec![1; shape.len()];
    for axis in (1..shape.len()).rev() {
        strides[axis - 1] = strides[axis] * shape[axis] as isize;
    }
    strides
}

#[test]
fn any_order_of_outer_axes_any_part_and_any_repetition() {
    let mut random = Lcg::new(7);
    let mut below = |count: usize| ((random.uniform() * count as f32) as usize).min(count - 1);
    let mut taken = 0;
    for case in 0..200 {
        let rank = 1 + below(6);
        let shape: Vec<usize> = (0..rank).map(|_| 1 + below(if case % 20 == 0 { 9 } else { 5 })).collect();
        let data: Vec<f32> = (0..shape.iter().product()).map(|i: usize| i as f32).collect();
        let strides = strides(&shape);
        // Outer axes in another order, each turned round, narrowed or repeated; the last one narrowed.
        let mut order: Vec<usize> = (0..rank - 1).collect();
        for i in (1..order.len()).rev() {
            order.swap(i, below(i + 1));
        }
        order.push(rank - 1);
        let (mut offset, mut seen, mut steps) = (0, Vec::new(), Vec::new());
        for axis in order {
            let start = below(shape[axis]);
            let extent = 1 + below(shape[axis] - start);
            offset += start as isize * strides[axis];
            match below(4) {
                0 if axis < rank - 1 => {
                    offset += (extent as isize - 1) * strides[axis];
                    seen.push(extent);
                    steps.push(-strides[axis]);
                }
                1 if axis < rank - 1 => {
                    seen.extend([extent, 1 + below(3)]);
                    steps.extend([strides[axis], 0]);
                }
                _ => {
                    seen.push(extent);
                    steps.push(strides[axis]);
                }
            }
        }
        let view = View { data: &data, offset: offset as usize, shape: &seen, strides: &steps };
        if view.has_whole_rows() {
            assert_eq!(contiguous(view), oracle(&view), "{view:?}");
            taken += 1;
        }
    }
    assert!(taken > 100, "{taken}");
}

#[test]
fn large_views_are_the_same_on_all_threads() {
    // Each cell of [2, 40, 30, 24] four times: [2, 40, 2, 30, 2, 24].
    let data = Lcg::new(8).normal(2 * 40 * 30 * 24);
    let (shape, strides) = ([2, 40, 2, 30, 2, 24], [40 * 30 * 24, 30 * 24, 0, 24, 0, 1]);
    let view = View { data: &data, offset: 0, shape: &shape, strides: &strides };
    assert_eq!(contiguous(view), oracle(&view));
}

#[test]
fn a_long_row_is_copied_in_pieces() {
    let data = Lcg::new(9).normal(3 * 50_001);
    let view = View { data: &data, offset: 7, shape: &[2, 49_990], strides: &[50_001, 1] };
    assert_eq!(contiguous(view), oracle(&view));
}

#[test]
fn a_view_of_nothing_is_empty_and_of_one_value_is_that_value() {
    let view = |shape| View { data: &[4.0, 5.0], offset: 1, shape, strides: &[7, 7] };
    assert_eq!(contiguous(view(&[0, 3])), []);
    assert_eq!(contiguous(view(&[1, 1])), [5.0]);
}

#[test]
#[should_panic(expected = "stays inside its data")]
fn a_view_beyond_its_data_is_refused() {
    contiguous(View { data: &[0.0; 5], offset: 0, shape: &[2, 3], strides: &[3, 1] });
}

#[test]
#[should_panic(expected = "stays inside its data")]
fn a_view_before_its_data_is_refused() {
    contiguous(View { data: &[0.0; 9], offset: 3, shape: &[3, 3], strides: &[-3, 1] });
}

#[test]
fn a_last_axis_with_steps_has_no_whole_rows() {
    let view = View { data: &[0.0; 6], offset: 0, shape: &[3, 2], strides: &[1, 3] };
    assert!(!view.has_whole_rows());
}
