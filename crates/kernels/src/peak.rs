//! What the machine could do at most: multiply-adds on registers alone, the measure that benches divide by.
//!
//! Operands are random: zeros let some processors clock higher and would flatter nobody but the peak.

use std::hint::black_box;
use std::time::{Duration, Instant};

use crate::gemm::WeightFormat;
use crate::isa::Isa;

/// FLOP a second that all threads reach together, in the median of five bursts of `burst` each.
///
/// bf16 is counted at what the instruction set multiplies it with: f32 units where it has no bf16 ones.
/// int8 counts a product and a sum of bytes as two, too; where a machine has no unit for them, the f32 units' figure stands.
pub fn flops_per_second(isa: Isa, format: WeightFormat, burst: Duration) -> f64 {
    assert!(isa.is_supported(), "{isa} cannot run here");
    let mut rates: Vec<f64> = (0..5)
        .map(|_| {
            let threads = rayon::broadcast(|_| {
                let start = Instant::now();
                let mut flop = 0.0;
                while start.elapsed() < burst {
                    flop += spin(isa, format);
                }
                flop / start.elapsed().as_secs_f64()
            });
            threads.into_iter().sum()
        })
        .collect();
    rates.sort_by(f64::total_cmp);
    rates[rates.len() / 2]
}

/// Rounds of one call of a loop.
const ROUNDS: usize = 20_000;

/// Runs one loop, returns its FLOP.
fn spin(isa: Isa, format: WeightFormat) -> f64 {
    match (isa, format) {
        #[cfg(target_arch = "x86_64")]
        (Isa::Amx, WeightFormat::Bf16) => {
            crate::gemm::amx::spin_bf16(ROUNDS);
            (ROUNDS * 4 * 16 * 16 * 32 * 2) as f64
        }
        // Three products of bf16 for one.
        #[cfg(target_arch = "x86_64")]
        (Isa::Amx, WeightFormat::TwoParts) => spin(isa, WeightFormat::Bf16) / 3.0,
        #[cfg(target_arch = "x86_64")]
        (Isa::Amx, WeightFormat::Int8) if crate::isa::has_amx_int8() => {
            crate::gemm::amx::spin_int8(ROUNDS);
            (ROUNDS * 4 * 16 * 16 * 64 * 2) as f64
        }
        #[cfg(target_arch = "x86_64")]
        (Isa::Amx | Isa::Avx512Bf16 | Isa::Avx512, WeightFormat::Int8)
            if is_x86_feature_detected!("avx512vnni") =>
        {
            // SAFETY: the instruction set is supported.
            black_box(unsafe { x86::avx512vnni(black_box(random())) });
            (ROUNDS * 24 * 64 * 2) as f64
        }
        #[cfg(target_arch = "x86_64")]
        (Isa::Avx2, WeightFormat::Int8) if is_x86_feature_detected!("avxvnni") => {
            // SAFETY: as above.
            black_box(unsafe { x86::avxvnni(black_box(random())) });
            (ROUNDS * 12 * 32 * 2) as f64
        }
        #[cfg(target_arch = "x86_64")]
        (Isa::Avx512Bf16, WeightFormat::Bf16) => {
            // SAFETY: the instruction set is supported.
            black_box(unsafe { x86::avx512bf16(black_box(random())) });
            (ROUNDS * 24 * 32 * 2) as f64
        }
        #[cfg(target_arch = "x86_64")]
        (Isa::Amx | Isa::Avx512Bf16 | Isa::Avx512, _) => {
            // SAFETY: as above.
            black_box(unsafe { x86::avx512(black_box(random())) });
            (ROUNDS * 24 * 16 * 2) as f64
        }
        #[cfg(target_arch = "x86_64")]
        (Isa::Avx2, _) => {
            // SAFETY: as above.
            black_box(unsafe { x86::avx2(black_box(random())) });
            (ROUNDS * 12 * 8 * 2) as f64
        }
        #[cfg(target_arch = "aarch64")]
        (Isa::Neon, _) => {
            black_box(neon(black_box(random())));
            (ROUNDS * 24 * 4 * 2) as f64
        }
        _ => {
            black_box(plain(black_box(random())));
            (ROUNDS * 32 * 2) as f64
        }
    }
}

/// 48 values between −1 and 1, as a generator makes them.
fn random() -> [f32; 48] {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    std::array::from_fn(|_| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / (1u64 << 23) as f32 - 1.0
    })
}

/// 32 sums, as the compiler's default target multiplies.
fn plain(x: [f32; 48]) -> [f32; 32] {
    let mut sums = [0.0f32; 32];
    for _ in 0..ROUNDS {
        for (i, sum) in sums.iter_mut().enumerate() {
            *sum += x[i % 4] * x[i + 8];
        }
        sums = black_box(sums);
    }
    sums
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::ROUNDS;
    use std::arch::x86_64::*;

    #[target_feature(enable = "avx2,fma")]
    pub unsafe fn avx2(x: [f32; 48]) -> [__m256; 12] {
        let a: [__m256; 3] = std::array::from_fn(|i| _mm256_set1_ps(x[i]));
        // SAFETY: eight of the 48 values.
        let b = unsafe { _mm256_loadu_ps(x.as_ptr().add(8)) };
        let mut sums = [_mm256_setzero_ps(); 12];
        for _ in 0..ROUNDS {
            for (i, sum) in sums.iter_mut().enumerate() {
                *sum = _mm256_fmadd_ps(a[i % 3], b, *sum);
            }
        }
        sums
    }

    #[target_feature(enable = "avx512f")]
    pub unsafe fn avx512(x: [f32; 48]) -> [__m512; 24] {
        let a: [__m512; 3] = std::array::from_fn(|i| _mm512_set1_ps(x[i]));
        // SAFETY: sixteen of the 48 values.
        let b = unsafe { _mm512_loadu_ps(x.as_ptr().add(8)) };
        let mut sums = [_mm512_setzero_ps(); 24];
        for _ in 0..ROUNDS {
            for (i, sum) in sums.iter_mut().enumerate() {
                *sum = _mm512_fmadd_ps(a[i % 3], b, *sum);
            }
        }
        sums
    }

    #[target_feature(enable = "avx512f,avx512bf16")]
    pub unsafe fn avx512bf16(x: [f32; 48]) -> [__m512; 24] {
        // SAFETY: sixteen of the 48 values from each place on.
        let values = |at: usize| unsafe { _mm512_loadu_ps(x.as_ptr().add(at)) };
        let load = |at: usize| _mm512_cvtne2ps_pbh(values(at), values(at));
        let (a, b) = ([load(0), load(1), load(2)], load(16));
        let mut sums = [_mm512_setzero_ps(); 24];
        for _ in 0..ROUNDS {
            for (i, sum) in sums.iter_mut().enumerate() {
                *sum = _mm512_dpbf16_ps(*sum, a[i % 3], b);
            }
        }
        sums
    }

    #[target_feature(enable = "avx512f,avx512vnni")]
    pub unsafe fn avx512vnni(x: [f32; 48]) -> [__m512i; 24] {
        // SAFETY: sixteen of the 48 values from each place on, their bits read as bytes.
        let load = |at: usize| unsafe { _mm512_loadu_si512(x.as_ptr().add(at).cast()) };
        let (a, b) = ([load(0), load(1), load(2)], load(16));
        let mut sums = [_mm512_setzero_si512(); 24];
        for _ in 0..ROUNDS {
            for (i, sum) in sums.iter_mut().enumerate() {
                *sum = _mm512_dpbusd_epi32(*sum, a[i % 3], b);
            }
        }
        sums
    }

    #[target_feature(enable = "avx2,avxvnni")]
    pub unsafe fn avxvnni(x: [f32; 48]) -> [__m256i; 12] {
        // SAFETY: eight of the 48 values from each place on, their bits read as bytes.
        let load = |at: usize| unsafe { _mm256_loadu_si256(x.as_ptr().add(at).cast()) };
        let (a, b) = ([load(0), load(1), load(2)], load(16));
        let mut sums = [_mm256_setzero_si256(); 12];
        for _ in 0..ROUNDS {
            for (i, sum) in sums.iter_mut().enumerate() {
                *sum = _mm256_dpbusd_avx_epi32(*sum, a[i % 3], b);
            }
        }
        sums
    }
}

#[cfg(target_arch = "aarch64")]
fn neon(x: [f32; 48]) -> [std::arch::aarch64::float32x4_t; 24] {
    use std::arch::aarch64::*;
    // SAFETY: every AArch64 has NEON; four of the 48 values.
    unsafe {
        let a: [float32x4_t; 3] = std::array::from_fn(|i| vdupq_n_f32(x[i]));
        let b = vld1q_f32(x.as_ptr().add(8));
        let mut sums = [vdupq_n_f32(0.0); 24];
        for _ in 0..ROUNDS {
            for (i, sum) in sums.iter_mut().enumerate() {
                *sum = vfmaq_f32(*sum, a[i % 3], b);
            }
        }
        sums
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::force_each_isa;

    #[test]
    fn every_loop_runs_and_counts() {
        force_each_isa(|isa| {
            for format in [WeightFormat::F32, WeightFormat::Bf16, WeightFormat::TwoParts, WeightFormat::Int8]
            {
                let rate = flops_per_second(isa, format, Duration::from_millis(2));
                assert!(rate.is_finite() && rate > 1e6, "{isa} {format:?}: {rate}");
            }
        });
    }
}
