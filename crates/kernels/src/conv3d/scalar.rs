//! The oracle: the definition, one output value at a time, sums in f64.

use super::Conv3dShape;

/// Output `[B, F', H', W', O]` without bias.
pub fn forward(x: &[f32], weights: &[f32], shape: Conv3dShape) -> Vec<f32> {
    let Conv3dShape { batch, input, channels_in: c, channels_out: o, kernel, stride, padding } = shape;
    let output = shape.output();
    let mut out = Vec::with_capacity(shape.positions_out() * o);
    for b in 0..batch {
        for position in 0..output.iter().product::<usize>() {
            let at =
                [position / (output[1] * output[2]), position / output[2] % output[1], position % output[2]];
            for channel_out in 0..o {
                let mut sum = 0.0f64;
                for tap in 0..kernel.iter().product::<usize>() {
                    let offset =
                        [tap / (kernel[1] * kernel[2]), tap / kernel[2] % kernel[1], tap % kernel[2]];
                    let from: Vec<isize> = (0..3)
                        .map(|axis| {
                            (at[axis] * stride[axis] + offset[axis]) as isize - padding[axis] as isize
                        })
                        .collect();
                    if (0..3).any(|axis| from[axis] < 0 || from[axis] >= input[axis] as isize) {
                        continue;
                    }
                    let flat = ((b * input[0] + from[0] as usize) * input[1] + from[1] as usize) * input[2]
                        + from[2] as usize;
                    for channel in 0..c {
                        sum += x[flat * c + channel] as f64
                            * weights[(tap * c + channel) * o + channel_out] as f64;
                    }
                }
                out.push(sum as f32);
            }
        }
    }
    out
}
