use rayon::prelude::*;
use vidit_kernels::Precision;
use vidit_kernels::conv3d::{self, Conv3dShape};

use super::Conv2d;
use crate::{BackboneError, Grid, Weights};

/// A transposed convolution, `weight [C, O, K, K]`: each input value spreads a patch of `K × K` over the output.
pub struct ConvTransposed2d {
    channels: [usize; 2],
    kernel: usize,
    stride: usize,
    padding: usize,
    form: Form,
}

enum Form {
    /// `[K·K·O, C]`: of the convolution that this is the transpose of, and the bias.
    Transpose(Vec<f32>, Vec<f32>),
    /// Even rows of the output, then odd ones, as convolutions of the input with two outputs side by side.
    Doubling(Box<[Conv2d; 2]>),
}

impl ConvTransposed2d {
    /// Takes `weight [C, O, K, K]` and `bias [O]`.
    ///
    /// # Errors
    /// If one is absent or has another shape.
    pub fn load(
        weights: &Weights,
        channels: [usize; 2],
        kernel: usize,
        stride: usize,
        padding: usize,
    ) -> Result<Self, BackboneError> {
        let [input, output] = channels;
        let weight = weights.take("weight", &[input, output, kernel, kernel])?;
        let bias = weights.take("bias", &[output])?;
        let form = match [kernel, stride, padding] {
            [4, 2, 1] => {
                Form::Doubling(Box::new([0, 1].map(|odd| half_of_rows(&weight, &bias, channels, odd))))
            }
            _ => {
                let taps = kernel * kernel;
                let mut matrix = vec![0.0; weight.len()];
                for c in 0..input {
                    for o in 0..output {
                        for tap in 0..taps {
                            matrix[(tap * output + o) * input + c] = weight[(c * output + o) * taps + tap];
                        }
                    }
                }
                Form::Transpose(matrix, bias)
            }
        };
        Ok(Self { channels, kernel, stride, padding, form })
    }

    /// `[B, H, W, C]` → `[B, (H−1)·stride − 2·padding + K, …, O]`.
    pub fn forward(&self, x: &Grid) -> Grid {
        let [input, output] = self.channels;
        assert_eq!(x.channels, input, "the convolution reads other channels");
        let grown = |size: usize| (size - 1) * self.stride + self.kernel - 2 * self.padding;
        let (height, width) = (grown(x.height), grown(x.width));
        let (weight, bias) = match &self.form {
            Form::Transpose(weight, bias) => (weight, bias),
            Form::Doubling(halves) => return doubled(x, halves),
        };
        let shape = Conv3dShape {
            batch: x.batch,
            input: [1, height, width],
            channels_in: output,
            channels_out: input,
            kernel: [1, self.kernel, self.kernel],
            stride: [1, self.stride, self.stride],
            padding: [0, self.padding, self.padding],
        };
        let mut data = conv3d::backward_input(weight, &x.data, shape, Precision::F32);
        for row in data.chunks_exact_mut(output) {
            row.iter_mut().zip(bias).for_each(|(value, bias)| *value += bias);
        }
        Grid::new(data, [x.batch, height, width, output])
    }
}

/// Even or odd rows of the output of a transposed convolution of kernel 4, stride 2, padding 1, as a convolution `[2, 3]` whose outputs
/// are the even and the odd column: an output has two taps an axis, the others are zeros that the product would multiply by.
fn half_of_rows(weight: &[f32], bias: &[f32], [input, output]: [usize; 2], odd: usize) -> Conv2d {
    let mut matrix = vec![0.0; 2 * output * input * 6];
    // Which of the kernel's rows or columns each tap of the window is.
    let rows = [[3, 1], [2, 0]][odd];
    let columns = [[Some(3), Some(1), None], [None, Some(2), Some(0)]];
    for (i, weight_out) in matrix.iter_mut().enumerate() {
        let (o, c, row, column) = (i / (input * 6), i / 6 % input, i / 3 % 2, i % 3);
        if let Some(column) = columns[o / output][column] {
            *weight_out = weight[((c * output + o % output) * 4 + rows[row]) * 4 + column];
        }
    }
    Conv2d::new(&matrix, bias.repeat(2), [input, 2 * output], [2, 3], [1; 2], [1; 2])
}

/// `[B, H, W, C]` → `[B, 2H, 2W, O]`.
fn doubled(x: &Grid, halves: &[Conv2d; 2]) -> Grid {
    let output = halves[0].output() / 2;
    let row = 2 * x.width * output;
    let mut out = Grid::zeros([x.batch, 2 * x.height, 2 * x.width, output]);
    for (odd, half) in halves.iter().enumerate() {
        // One row more than there are: even rows are the first ones, odd rows the last.
        let rows = half.forward(x); // [B, H + 1, W, 2 · O]
        out.data.par_chunks_mut(2 * row).enumerate().for_each(|(pair, out)| {
            let (b, y) = (pair / x.height, pair % x.height);
            let from = &rows.data[(b * rows.height + y + odd) * row..][..row];
            out[odd * row..][..row].copy_from_slice(from);
        });
    }
    out
}

#[cfg(test)]
mod tests {
    use vidit_weights::TensorStore;

    use super::*;
    use crate::Checkpoint;

    /// f32 sums of up to 80 products of small whole numbers: exact.
    #[test]
    fn each_value_spreads_a_patch() {
        for ([kernel, stride, padding], [height, width]) in
            [([4, 2, 1], [3, 5]), ([3, 2, 0], [2, 4]), ([2, 2, 0], [4, 3])]
        {
            let [batch, input, output] = [2, 5, 3];
            let whole =
                |count: usize, step: usize| (0..count).map(move |i| (i * step % 7) as f32 - 3.0).collect();
            let weight: Vec<f32> = whole(input * output * kernel * kernel, 5);
            let bias: Vec<f32> = whole(output, 3);
            let x = Grid::new(whole(batch * height * width * input, 4), [batch, height, width, input]);
            let mut store = TensorStore::default();
            store.insert("weight", vec![input, output, kernel, kernel], weight.clone());
            store.insert("bias", vec![output], bias.clone());
            let checkpoint = Checkpoint::new("a network", store);
            let conv =
                ConvTransposed2d::load(&checkpoint.root(), [input, output], kernel, stride, padding).unwrap();
            let found = conv.forward(&x);
            let grown = |size: usize| (size - 1) * stride + kernel - 2 * padding;
            let mut expected = Grid::zeros([batch, grown(height), grown(width), output]);
            expected.data.chunks_exact_mut(output).for_each(|row| row.copy_from_slice(&bias));
            for i in 0..batch * height * width * kernel * kernel {
                let (place, tap) = (i / (kernel * kernel), i % (kernel * kernel));
                let (b, y, column) = (place / (height * width), place / width % height, place % width);
                let row_out = (y * stride + tap / kernel).wrapping_sub(padding);
                let column_out = (column * stride + tap % kernel).wrapping_sub(padding);
                if row_out >= expected.height || column_out >= expected.width {
                    continue;
                }
                for c in 0..input {
                    for o in 0..output {
                        let to = ((b * expected.height + row_out) * expected.width + column_out) * output + o;
                        let weight = weight[(c * output + o) * kernel * kernel + tap];
                        expected.data[to] += x.at(b, y, column)[c] * weight;
                    }
                }
            }
            assert_eq!(found, expected, "{kernel} {stride} {padding}");
        }
    }
}
