//! AVX2 + FMA: 6 × 16 sums in twelve registers, two vectors of B, broadcasts of A.

use std::arch::x86_64::*;

use super::micro::Call;

/// Depths that are written out one after another.
const UNROLLED: usize = 8;

/// `C[6, 16]`, panels `[depth, 6]` and `[depth, 16]` of f32.
///
/// # Safety
/// See [`super::micro::Kernel`]; needs AVX2 and FMA.
#[target_feature(enable = "avx2,fma")]
pub(super) unsafe fn kernel_6x16(call: &Call) {
    // SAFETY: `b` holds depth × 16 values; the rest is the caller's promise.
    unsafe {
        product(call, |d| {
            let b = call.b.add(d * 16);
            [_mm256_loadu_ps(b), _mm256_loadu_ps(b.add(8))]
        });
    }
}

/// `C[6, 16]`, panels `[depth, 6]` of f32 and `[depth, 8]` of words of two bf16.
///
/// # Safety
/// See [`super::micro::Kernel`]; needs AVX2 and FMA.
#[target_feature(enable = "avx2,fma")]
pub(super) unsafe fn kernel_widen_6x16(call: &Call) {
    let high = _mm256_set1_epi32(0xffff_0000_u32 as i32);
    // SAFETY: `b` holds depth × 8 words; the rest is the caller's promise.
    unsafe {
        product(call, |d| {
            let words = _mm256_loadu_si256(call.b.add(d * 8).cast());
            [
                _mm256_castsi256_ps(_mm256_slli_epi32::<16>(words)),
                _mm256_castsi256_ps(_mm256_and_si256(words, high)),
            ]
        });
    }
}

/// # Safety
/// `a` holds depth × 6 values, `c` 6 rows of 16.
#[target_feature(enable = "avx2,fma")]
#[inline]
unsafe fn product(call: &Call, row_of_b: impl Fn(usize) -> [__m256; 2]) {
    let &Call { depth, a, c, ldc, add, .. } = call;
    let ahead = call.ahead(depth.div_ceil(UNROLLED));
    let mut sums = [[_mm256_setzero_ps(); 2]; 6];
    let step = |sums: &mut [[__m256; 2]; 6], d: usize| {
        // SAFETY: the caller's promise; `d < depth`.
        unsafe {
            let a = a.add(d * 6);
            let [b0, b1] = row_of_b(d);
            for (r, row) in sums.iter_mut().enumerate() {
                let x = _mm256_broadcast_ss(&*a.add(r));
                row[0] = _mm256_fmadd_ps(x, b0, row[0]);
                row[1] = _mm256_fmadd_ps(x, b1, row[1]);
            }
        }
    };
    // SAFETY: the caller's promise.
    unsafe {
        if add {
            (0..6).for_each(|r| _mm_prefetch::<_MM_HINT_T0>(c.add(r * ldc).cast()));
        }
        for part in 0..depth / UNROLLED {
            ahead(part);
            // Written out: a loop of its own would cost a wrong guess at each of its ends.
            let d = part * UNROLLED;
            step(&mut sums, d);
            step(&mut sums, d + 1);
            step(&mut sums, d + 2);
            step(&mut sums, d + 3);
            step(&mut sums, d + 4);
            step(&mut sums, d + 5);
            step(&mut sums, d + 6);
            step(&mut sums, d + 7);
        }
        for d in depth / UNROLLED * UNROLLED..depth {
            step(&mut sums, d);
        }
        for (r, row) in sums.iter_mut().enumerate() {
            let c = c.add(r * ldc);
            if add {
                row[0] = _mm256_add_ps(_mm256_loadu_ps(c), row[0]);
                row[1] = _mm256_add_ps(_mm256_loadu_ps(c.add(8)), row[1]);
            }
            _mm256_storeu_ps(c, row[0]);
            _mm256_storeu_ps(c.add(8), row[1]);
        }
    }
}
