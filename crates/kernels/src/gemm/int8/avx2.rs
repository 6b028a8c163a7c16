//! AVX2: 6 × 16 sums by AVX-VNNI where it is there, 4 × 16 by products of pairs where it is not.

use std::arch::x86_64::*;

use crate::gemm::micro::Call;

/// `C[6, 16]` of i32, panels `[depth/64, 6, 64]` of u8 (128 added) and `[depth/4, 16, 4]` of i8; `depth` is a multiple of 64.
///
/// # Safety
/// See [`crate::gemm::micro::Kernel`]; needs AVX2 and AVX-VNNI.
#[target_feature(enable = "avx2,avxvnni")]
pub(in crate::gemm) unsafe fn kernel_vnni_6x16(call: &Call) {
    let dot = |sum, a, b: [__m256i; 2], i: usize| _mm256_dpbusd_avx_epi32(sum, a, b[i]);
    // SAFETY: the caller's promise.
    unsafe { product::<6>(call, |sums, a, b| [dot(sums[0], a, b, 0), dot(sums[1], a, b, 1)]) };
}

/// `C[4, 16]` of i32, panels `[depth/64, 4, 64]` and `[depth/4, 16, 4]` of i8; `depth` is a multiple of 64.
///
/// `vpmaddubsw` takes one side unsigned: the sign of A goes to B. Both lie within ±127, so two products stay within 16 bits.
///
/// # Safety
/// See [`crate::gemm::micro::Kernel`]; needs AVX2.
#[target_feature(enable = "avx2")]
pub(in crate::gemm) unsafe fn kernel_4x16(call: &Call) {
    let ones = _mm256_set1_epi16(1);
    let dot = |sum, a, b| {
        let pairs = _mm256_maddubs_epi16(_mm256_abs_epi8(a), _mm256_sign_epi8(b, a));
        _mm256_add_epi32(sum, _mm256_madd_epi16(pairs, ones))
    };
    // SAFETY: the caller's promise.
    unsafe { product::<4>(call, |sums, a, b| [dot(sums[0], a, b[0]), dot(sums[1], a, b[1])]) };
}

/// `step(sums, four bytes of a row of A in every lane, four of each of 16 columns of B)` adds up their products.
///
/// # Safety
/// `a` holds depth/64 × ROWS × 16 words, `b` depth/4 × 16 words, `c` ROWS rows of 16 values.
#[target_feature(enable = "avx2")]
#[inline]
unsafe fn product<const ROWS: usize>(
    &Call { depth, a, b, c, ldc, add, .. }: &Call,
    step: impl Fn([__m256i; 2], __m256i, [__m256i; 2]) -> [__m256i; 2],
) {
    let mut sums = [[_mm256_setzero_si256(); 2]; ROWS];
    // SAFETY: the caller's promise.
    unsafe {
        for chunk in 0..depth / 64 {
            for four in 0..16 {
                let a = a.add(chunk * ROWS * 16 + four);
                let b = b.add((chunk * 16 + four) * 16);
                let b = [_mm256_loadu_si256(b.cast()), _mm256_loadu_si256(b.add(8).cast())];
                for (r, row) in sums.iter_mut().enumerate() {
                    *row = step(*row, _mm256_set1_epi32(a.add(r * 16).cast::<i32>().read()), b);
                }
            }
        }
        for (r, row) in sums.iter().enumerate() {
            for (i, sum) in row.iter().enumerate() {
                let c = c.add(r * ldc + i * 8).cast();
                let sum = if add { _mm256_add_epi32(_mm256_loadu_si256(c), *sum) } else { *sum };
                _mm256_storeu_si256(c, sum);
            }
        }
    }
}
