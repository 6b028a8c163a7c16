//! Rows in another order, some of them several times: patches out of a grid and back, heads apart, cells repeated to twice the height
//! and width, frames out of channels. One pass over memory, on all threads; channels, the last axis, stay together.

#[cfg(test)]
mod tests;

use crate::threads::{Fresh, for_ranges};

/// Values of a task at least.
const GRAIN: usize = 16 * 1024;

/// A view of values: element `[i, j, …]` lies at `offset + i · strides[0] + j · strides[1] + …`. A stride of 0 repeats.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    /// What is looked at.
    pub data: &'a [f32],
    /// Where the first element lies.
    pub offset: usize,
    /// Extent of each axis.
    pub shape: &'a [usize],
    /// Steps along each axis, in values.
    pub strides: &'a [isize],
}

impl View<'_> {
    /// Axes that matter, neighbours that are one made one: extents and strides.
    fn axes(&self) -> Vec<(usize, isize)> {
        assert_eq!(self.shape.len(), self.strides.len(), "a stride for each axis");
        let mut axes: Vec<(usize, isize)> = Vec::new();
        for (&extent, &stride) in self.shape.iter().zip(self.strides).filter(|(extent, _)| **extent != 1) {
            match axes.last_mut() {
                Some(outer) if outer.1 == stride * extent as isize => *outer = (outer.0 * extent, stride),
                _ => axes.push((extent, stride)),
            }
        }
        axes
    }

    /// Whether the last axis lies as it is: what [`contiguous`] takes.
    pub fn has_whole_rows(&self) -> bool {
        self.axes().last().is_none_or(|(_, stride)| *stride == 1)
    }
}

/// The values of a view in the order of its axes.
///
/// # Panics
/// If the last axis, of those longer than one, has another stride than 1, or the view leaves its data.
pub fn contiguous(view: View) -> Vec<f32> {
    let mut axes = view.axes();
    let len: usize = view.shape.iter().product();
    if len == 0 {
        return Vec::new();
    }
    let (width, stride) = axes.pop().unwrap_or((1, 1));
    assert_eq!(stride, 1, "rows are whole");
    let reach = |far: fn(isize) -> bool| -> isize {
        axes.iter()
            .filter(|(_, stride)| far(*stride))
            .map(|(extent, stride)| (*extent as isize - 1) * stride)
            .sum()
    };
    let (first, last) = (
        view.offset as isize + reach(|stride| stride < 0),
        view.offset as isize + reach(|stride| stride > 0),
    );
    assert!(first >= 0 && last as usize + width <= view.data.len(), "the view stays inside its data");
    let fresh: Fresh<f32> = Fresh::new(len);
    // A long row is a piece of work for many.
    let piece = width.min(GRAIN);
    let pieces = width.div_ceil(piece);
    for_ranges(len / width * pieces, GRAIN.div_ceil(piece), |numbers| {
        let mut row = Odometer::at(&axes, view.offset as isize, numbers.start / pieces);
        for number in numbers {
            let inside = number % pieces * piece..width.min((number % pieces + 1) * piece);
            let from = &view.data[row.position as usize + inside.start..][..inside.len()];
            // SAFETY: pieces are disjoint, and `len` values have room.
            unsafe {
                let to = fresh.pointer().pointer(number / pieces * width + inside.start);
                to.copy_from_nonoverlapping(from.as_ptr(), inside.len());
            }
            if inside.end == width {
                row.step();
            }
        }
    });
    // SAFETY: every piece was written.
    unsafe { fresh.finish(len) }
}

/// Walks over all indices of some axes, the last one fastest.
struct Odometer<'a> {
    axes: &'a [(usize, isize)],
    index: Vec<usize>,
    position: isize,
}

impl<'a> Odometer<'a> {
    fn at(axes: &'a [(usize, isize)], offset: isize, mut number: usize) -> Self {
        let mut odometer = Self { axes, index: vec![0; axes.len()], position: offset };
        for (index, (extent, stride)) in odometer.index.iter_mut().zip(axes).rev() {
            *index = number % extent;
            number /= extent;
            odometer.position += *index as isize * stride;
        }
        odometer
    }

    fn step(&mut self) {
        for (index, (extent, stride)) in self.index.iter_mut().zip(self.axes).rev() {
            *index += 1;
            self.position += stride;
            if *index < *extent {
                return;
            }
            self.position -= stride * *extent as isize;
            *index = 0;
        }
    }
}
