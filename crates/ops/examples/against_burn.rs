//! Our ops against burn's own CPU path, forward and backward, in turn in one run: `cargo run --release -p vidit-ops
//! --example against_burn`. Prints medians and their ratio for the shapes of `mini`.

use std::time::Instant;

use burn::tensor::{Device, Distribution, Tensor};
use vidit_ops::{Activation, ConvGeometry, Tail};

#[global_allocator]
static ALLOC: vidit_kernels::alloc::CachingAllocator = vidit_kernels::alloc::CachingAllocator::new();

const RUNS: usize = 7;

fn random<const D: usize>(dims: [usize; D], device: &Device) -> Tensor<D> {
    let x = Tensor::random(dims, Distribution::Normal(0.0, 1.0), device);
    if device.is_autodiff() { x.require_grad() } else { x }
}

fn median(mut seconds: Vec<f64>) -> f64 {
    seconds.sort_by(f64::total_cmp);
    seconds[seconds.len() / 2]
}

/// Times both in turn and prints a line of a Markdown table.
fn compare(name: &str, gigaflop: f64, mut ours: impl FnMut(), mut burns: impl FnMut()) {
    let (mut a, mut b) = (Vec::new(), Vec::new());
    ours();
    burns();
    for _ in 0..RUNS {
        let start = Instant::now();
        ours();
        a.push(start.elapsed().as_secs_f64());
        let start = Instant::now();
        burns();
        b.push(start.elapsed().as_secs_f64());
    }
    let (a, b) = (median(a), median(b));
    let rate = if gigaflop > 0.0 { format!("{:.0}", gigaflop / a) } else { "–".to_owned() };
    println!("| {name} | {:.2} | {rate} | {:.2} | {:.1}× |", a * 1e3, b * 1e3, b / a);
}

fn main() {
    let plain = Device::flex();
    let tape = Device::flex().autodiff();
    println!("{} threads, {}, f32", vidit_kernels::thread_count(), vidit_ops::Isa::current());
    println!("| op | ours ms | GFLOP/s | burn ms | ratio |\n|---|---|---|---|---|");
    vidit_ops::set_precision(vidit_ops::Precision::F32);

    for [m, n, k] in [[4096, 768, 192], [4096, 1536, 1536]] {
        let (x, w, b) = (random([1, m, k], &plain), random([k, n], &plain), random([n], &plain));
        let flop = 2e-9 * (m * n * k) as f64;
        compare(
            &format!("linear {m}x{n}x{k}"),
            flop,
            || drop(vidit_ops::linear(x.clone(), w.clone(), b.clone())),
            || drop(x.clone().reshape([m, k]).matmul(w.clone()) + b.clone().unsqueeze::<2>()),
        );
        let (x, w, b) = (random([1, m, k], &tape), random([k, n], &tape), random([n], &tape));
        compare(
            &format!("linear {m}x{n}x{k} with gradients"),
            3.0 * flop,
            || drop(vidit_ops::linear(x.clone(), w.clone(), b.clone()).sum().backward()),
            || {
                drop(
                    (x.clone().reshape([m, k]).matmul(w.clone()) + b.clone().unsqueeze::<2>())
                        .sum()
                        .backward(),
                )
            },
        );
    }

    let (heads, length, width) = (3, 448, 192);
    let qkv = |device: &Device| [0; 3].map(|_| random([8, length, width], device));
    let flop = 4e-9 * (8 * length * length * width) as f64;
    let burn_attention = |[q, k, v]: [Tensor<3>; 3]| {
        let split = |x: Tensor<3>| x.reshape([8, length, heads, width / heads]).swap_dims(1, 2);
        burn::tensor::module::attention(split(q), split(k), split(v), None, None, Default::default())
    };
    let inputs = qkv(&plain);
    compare(
        "attention 8x3x448x64",
        flop,
        || {
            let [q, k, v] = inputs.clone();
            drop(vidit_ops::attention(q, k, v, heads, None));
        },
        || drop(burn_attention(inputs.clone())),
    );
    let inputs = qkv(&tape);
    compare(
        "attention 8x3x448x64 with gradients",
        3.5 * flop,
        || {
            let [q, k, v] = inputs.clone();
            drop(vidit_ops::attention(q, k, v, heads, None).sum().backward());
        },
        || drop(burn_attention(inputs.clone()).sum().backward()),
    );

    let geometry = ConvGeometry { kernel: [2, 3, 3], stride: [1, 1, 1], padding: [1, 1, 1] };
    for (channels, side) in [(48, 32), (96, 16)] {
        let case = |device: &Device| {
            (
                random([1, 7, side, side, channels], device),
                random([18 * channels, channels], device),
                random([channels], device),
            )
        };
        let burn_conv = |x: Tensor<5>, w: Tensor<2>, b: Tensor<1>| {
            let w = w.reshape([2, 3, 3, channels, channels]).permute([4, 3, 0, 1, 2]);
            let zeros = Tensor::zeros([1, channels, 1, side, side], &x.device());
            let x = Tensor::cat(vec![zeros, x.permute([0, 4, 1, 2, 3])], 2);
            let options = burn::tensor::ops::ConvOptions::new([1, 1, 1], [0, 1, 1], [1, 1, 1], 1);
            burn::tensor::module::conv3d(x, w, Some(b), options).permute([0, 2, 3, 4, 1])
        };
        let flop = 2e-9 * (7 * side * side * 18 * channels * channels) as f64;
        let (x, w, b) = case(&plain);
        compare(
            &format!("causal conv3d {channels} ch 7x{side}x{side}"),
            flop,
            || drop(vidit_ops::conv3d(x.clone(), w.clone(), b.clone(), geometry, None)),
            || drop(burn_conv(x.clone(), w.clone(), b.clone())),
        );
        let (x, w, b) = case(&tape);
        compare(
            &format!("causal conv3d {channels} ch 7x{side}x{side} with gradients"),
            3.0 * flop,
            || drop(vidit_ops::conv3d(x.clone(), w.clone(), b.clone(), geometry, None).sum().backward()),
            || drop(burn_conv(x.clone(), w.clone(), b.clone()).sum().backward()),
        );
    }

    let (x, weight) = (random([8, length, 768], &plain), random([768], &plain));
    compare(
        "GELU 8x448x768",
        0.0,
        || drop(vidit_ops::activate(x.clone(), Activation::GeluTanh)),
        || drop(burn::tensor::activation::gelu_approximate(x.clone())),
    );
    compare(
        "RMS norm + SiLU 8x448x768",
        0.0,
        || drop(vidit_ops::rms_norm(x.clone(), weight.clone(), 768, 1e-6, Tail::Silu)),
        || {
            let rms = (x.clone().square().mean_dim(2) + 1e-6).sqrt();
            drop(burn::tensor::activation::silu(x.clone() / rms * weight.clone().unsqueeze::<3>()));
        },
    );
}
