//! The kernels alone, on the shapes of Wan 2.1 1.3B (width 1,536, feed-forward 8,960, 12 heads of 128), of its VAE, and of
//! `mini` (width 192).

use std::hint::black_box;

use burn::tensor::{Device, Tensor};
use vidit_diffusion::noise;
use vidit_kernels::Precision;
use vidit_kernels::attention::{self, AttentionShape, Keys};
use vidit_kernels::cast::{Half, narrow, widen};
use vidit_kernels::conv3d::{self, Conv3dShape};
use vidit_kernels::gemm::{Bias, LaneMajor, WeightFormat, Weights};
use vidit_kernels::mlp::{Mlp, MlpWeights};
use vidit_kernels::norm::{RmsTail, layer_norm_modulate, rms_norm};
use vidit_kernels::pointwise::{Activation, activate, gated_residual};
use vidit_kernels::rearrange::{View, contiguous};
use vidit_kernels::softmax::softmax;

use crate::{Case, Work};

/// All cases that have this format, in the order of their kinds.
pub fn kernels(format: WeightFormat) -> Vec<Case> {
    let mut cases = Vec::new();
    for size in [
        [2048, 2048, 2048],
        [4096, 1536, 1536],
        [4096, 8960, 1536],
        [4096, 1536, 8960],
        [1950, 1536, 1536],
        [14040, 1536, 1536],
        [4096, 768, 192],
        [4096, 192, 768],
    ] {
        cases.push(gemm(size, format));
    }
    for rows in [1950, 4096, 14040] {
        cases.push(mlp(rows, 1536, 8960, format));
    }
    let Some(dtype) = format.precision() else { return cases };
    for (heads, queries, keys, head_dim) in [
        (12, 4096, 4096, 128),
        (12, 1950, 1950, 128),
        (12, 14040, 14040, 128),
        (12, 4096, 512, 128),
        (3, 448, 448, 64),
    ] {
        cases.push(attention(heads, queries, keys, head_dim, dtype));
    }
    for (channels, input) in [(96, [4, 128, 128]), (192, [4, 64, 64]), (384, [4, 32, 32]), (48, [7, 32, 32])]
    {
        cases.push(conv3d(channels, input, dtype));
    }
    for rows in [4096, 14040] {
        cases.extend(one_pass(rows, 1536));
    }
    cases.extend([upsample(96, [4, 120, 208]), unpatchify([9, 60, 104])]);
    cases
}

/// Standard normal values; each count has its own.
fn normal(count: usize) -> Vec<f32> {
    let values: Tensor<1> = noise::normal([count], count as u64, &Device::flex());
    values.into_data().iter::<f32>().collect()
}

/// Values of a layer's weights that leave the scale of what they multiply: activations after them are then as in a model.
fn weights_of(inputs: usize, outputs: usize) -> Vec<f32> {
    let scale = (inputs as f32).sqrt().recip();
    normal(inputs * outputs).iter().map(|value| value * scale).collect()
}

fn case(
    name: String,
    flop: Option<f64>,
    dtype: WeightFormat,
    prepare: impl FnOnce() -> Work + 'static,
) -> Case {
    Case { name, flop, dtype, prepare: Box::new(prepare) }
}

fn gemm([m, n, k]: [usize; 3], format: WeightFormat) -> Case {
    case(format!("gemm_{m}x{n}x{k}"), Some(2.0 * (m * n * k) as f64), format, move || {
        let (a, b, bias) = (normal(m * k), normal(k * n), normal(n));
        let packed = Weights::new(&b, n, k, format);
        Box::new(move || {
            let a = LaneMajor { data: &a, stride: k };
            black_box(packed.product(m, a, &Bias(&bias)));
        })
    })
}

fn mlp(rows: usize, width: usize, hidden: usize, format: WeightFormat) -> Case {
    let flop = 4.0 * (rows * width * hidden) as f64;
    case(format!("mlp_{rows}x{width}x{hidden}"), Some(flop), format, move || {
        let weights = MlpWeights {
            up: &weights_of(width, hidden),
            up_bias: &normal(hidden),
            down: &weights_of(hidden, width),
            down_bias: &normal(width),
        };
        let mlp = Mlp::new(weights, Activation::GeluTanh, format);
        let (x, residual, gate) = (normal(rows * width), normal(rows * width), normal(width));
        Box::new(move || {
            black_box(mlp.forward(&x, &residual, &gate));
        })
    })
}

fn attention(heads: usize, queries: usize, keys: usize, head_dim: usize, dtype: Precision) -> Case {
    let cross = if queries == keys { String::new() } else { format!("_keys{keys}") };
    let flop = 4.0 * (heads * queries * keys * head_dim) as f64;
    case(format!("attention_{heads}x{queries}x{head_dim}{cross}"), Some(flop), dtype.into(), move || {
        let shape = AttentionShape { batch: 1, heads, head_dim, queries, keys };
        let width = heads * head_dim;
        let (q, k, v) = (normal(queries * width), normal(keys * width), normal(keys * width));
        Box::new(move || {
            black_box(attention::forward(&q, &k, &v, shape, Keys::default(), dtype).out);
        })
    })
}

fn conv3d(channels: usize, input: [usize; 3], dtype: Precision) -> Case {
    let [f, h, w] = input;
    let shape = Conv3dShape {
        batch: 1,
        input,
        channels_in: channels,
        channels_out: channels,
        kernel: [3, 3, 3],
        stride: [1, 1, 1],
        padding: [2, 1, 1],
    };
    let flop = 2.0 * (shape.positions_out() * shape.depth() * channels) as f64;
    case(format!("conv3d_{channels}_{f}x{h}x{w}"), Some(flop), dtype.into(), move || {
        let (x, weights, bias) =
            (normal(shape.positions_in() * channels), normal(shape.depth() * channels), normal(channels));
        Box::new(move || {
            black_box(conv3d::forward(&x, &weights, shape, &Bias(&bias), dtype));
        })
    })
}

/// What reads and writes memory once.
fn one_pass(rows: usize, width: usize) -> Vec<Case> {
    const HEAD_DIM: usize = 128;
    const EPSILON: f32 = 1e-6;
    let f32 = WeightFormat::F32;
    vec![
        case(format!("layer_norm_modulate_{rows}x{width}"), None, f32, move || {
            let (x, shift, scale) = (normal(rows * width), normal(width), normal(width));
            Box::new(move || {
                black_box(layer_norm_modulate(&x, &shift, &scale, width, EPSILON).out);
            })
        }),
        case(format!("rms_norm_rope_{rows}x{width}"), None, f32, move || {
            let (x, weight, table) = (normal(rows * width), normal(width), normal(rows * HEAD_DIM));
            Box::new(move || {
                let tail = RmsTail::Rope { table: &table, head_dim: HEAD_DIM };
                black_box(rms_norm(&x, &weight, width, EPSILON, tail));
            })
        }),
        case(format!("gated_residual_{rows}x{width}"), None, f32, move || {
            let (x, y, gate) = (normal(rows * width), normal(rows * width), normal(width));
            Box::new(move || {
                black_box(gated_residual(&x, &y, &gate, width));
            })
        }),
        case(format!("gelu_{rows}x{width}"), None, f32, move || {
            let x = normal(rows * width);
            Box::new(move || {
                black_box(activate(&x, Activation::GeluTanh));
            })
        }),
        case(format!("softmax_{rows}x{width}"), None, f32, move || {
            let x = normal(rows * width);
            Box::new(move || {
                black_box(softmax(&x, width));
            })
        }),
        case(format!("cast_to_bf16_{rows}x{width}"), None, f32, move || {
            let (x, mut halves) = (normal(rows * width), vec![[0; 2]; rows * width]);
            Box::new(move || {
                narrow(Half::Bf16, &x, &mut halves);
                black_box(&halves);
            })
        }),
        case(format!("cast_from_f16_{rows}x{width}"), None, f32, move || {
            let mut halves = vec![[0; 2]; rows * width];
            narrow(Half::F16, &normal(rows * width), &mut halves);
            let mut x = vec![0.0; rows * width];
            Box::new(move || {
                widen(Half::F16, &halves, &mut x);
                black_box(&x);
            })
        }),
    ]
}

/// Each cell four times: twice the height and the width.
fn upsample(channels: usize, [f, h, w]: [usize; 3]) -> Case {
    let cells = f * h * w;
    case(format!("upsample_{channels}_{f}x{h}x{w}"), None, WeightFormat::F32, move || {
        let x = normal(cells * channels);
        let row = (w * channels) as isize;
        Box::new(move || {
            let (shape, strides) = ([f * h, 2, w, 2, channels], [row, 0, channels as isize, 0, 1]);
            black_box(contiguous(View { data: &x, offset: 0, shape: &shape, strides: &strides }));
        })
    })
}

/// Wan's tokens to a grid: patches of 2 × 2 cells of 16 channels, which lie side by side in a token.
fn unpatchify([f, h, w]: [usize; 3]) -> Case {
    const PATCH: usize = 2;
    const CHANNELS: usize = 16;
    const TOKEN: usize = PATCH * PATCH * CHANNELS;
    case(format!("unpatchify_{f}x{h}x{w}"), None, WeightFormat::F32, move || {
        let x = normal(f * h * w * CHANNELS);
        let (rows, columns) = (f * h / PATCH, w / PATCH);
        Box::new(move || {
            let shape = [rows, PATCH, columns, PATCH * CHANNELS];
            let strides = [columns * TOKEN, PATCH * CHANNELS, TOKEN, 1].map(|stride| stride as isize);
            black_box(contiguous(View { data: &x, offset: 0, shape: &shape, strides: &strides }));
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_say_the_shape() {
        let cases = kernels(WeightFormat::F32);
        let names: std::collections::BTreeSet<_> = cases.iter().map(|case| case.name.clone()).collect();
        assert_eq!(names.len(), cases.len());
        for name in ["gemm_4096x8960x1536", "attention_12x4096x128", "conv3d_96_4x128x128"] {
            assert!(names.contains(name), "{name}");
        }
    }

    #[test]
    fn the_smallest_cases_run() {
        for format in [WeightFormat::F32, WeightFormat::Bf16, WeightFormat::TwoParts, WeightFormat::Int8] {
            for case in kernels(format) {
                if matches!(case.name.as_str(), "attention_3x448x64" | "gemm_4096x192x768") {
                    (case.prepare)()();
                }
            }
        }
    }
}
