use std::time::Instant;
use vidit_kernels::{Isa, Precision, gemm::*, conv3d::*};
fn time(name: &str, flop: f64, mut f: impl FnMut()) {
    f();
    let mut t = vec![];
    for _ in 0..5 { let s = Instant::now(); f(); t.push(s.elapsed().as_secs_f64()); }
    t.sort_by(|a, b| a.total_cmp(b));
    println!("{name}: {:.2} ms {:.1} GFLOP/s", t[2] * 1e3, flop / t[2] / 1e9);
}
fn main() {
    println!("{} threads {}", Isa::current(), vidit_kernels::thread_count());
    let r = |n: usize| -> Vec<f32> { (0..n).map(|i| ((i * 2654435761usize) % 1000) as f32 / 500.0 - 1.0).collect() };
    for [m, n, k] in [[4096, 192, 192], [4096, 768, 192], [4096, 192, 768], [2048, 2048, 2048], [192, 768, 4096], [4096, 256, 256],[4096,1024,256]] {
        let (a, b) = (r(m * k), r(k * n));
        let mut c = vec![0.0; m * n];
        time(&format!("gemm {m}x{n}x{k}"), 2.0 * (m * n * k) as f64, || {
            gemm([m, n, k], &LaneMajor { data: &a, stride: k }, &DepthMajor { data: &b, stride: n }, &mut c, n, Into::Overwrite, &Plain, Precision::F32)
        });
    }
    for (c, hw) in [(48, 32), (96, 16), (64, 32)] {
        let s = Conv3dShape { batch: 1, input: [7, hw, hw], channels_in: c, channels_out: c, kernel: [2, 3, 3], stride: [1, 1, 1], padding: [1, 1, 1] };
        let x = r(s.positions_in() * c); let w = r(s.depth() * c); let d = r(s.positions_out() * c);
        let flop = 2.0 * (s.positions_out() * s.depth() * c) as f64;
        time(&format!("conv {c} fwd"), flop, || { vidit_kernels::conv3d::forward(&x, &w, s, &Plain, Precision::F32); });
        time(&format!("conv {c} dx"), flop, || { vidit_kernels::conv3d::backward_input(&w, &d, s, Precision::F32); });
        time(&format!("conv {c} dw"), flop, || { vidit_kernels::conv3d::backward_weights(&x, &d, s, Precision::F32); });
    }
    let s = vidit_kernels::attention::AttentionShape { batch: 4, heads: 4, head_dim: 64, queries: 448, keys: 448 };
    let n = 4 * 448 * 256;
    let (q, k, v, d) = (r(n), r(n), r(n), r(n));
    let flop = 4.0 * (4 * 4 * 448 * 448 * 64) as f64;
    let o = vidit_kernels::attention::forward(&q, &k, &v, s, None, Precision::F32);
    time("attn fwd", flop, || { vidit_kernels::attention::forward(&q, &k, &v, s, None, Precision::F32); });
    time("attn bwd", flop * 2.5, || { vidit_kernels::attention::backward(&q, &k, &v, &o, &d, s, None, Precision::F32); });
}
