//! AVX-512 VNNI: 12 × 32 sums in 24 registers, four products and their sum an instruction and lane.

use std::arch::x86_64::*;

use crate::gemm::avx512::fetch;
use crate::gemm::micro::Call;

/// `C[12, 32]` of i32, panels `[depth/64, 12, 64]` of u8 (128 added) and `[depth/4, 32, 4]` of i8; `depth` is a multiple of 64.
///
/// # Safety
/// See [`crate::gemm::micro::Kernel`]; needs AVX-512 F and VNNI.
#[target_feature(enable = "avx512f,avx512vnni")]
pub(in crate::gemm) unsafe fn kernel_12x32(call: &Call) {
    let &Call { depth, a, b, c, ldc, add, .. } = call;
    let ahead = call.ahead(depth / 16);
    let mut sums = [[_mm512_setzero_si512(); 2]; 12];
    // One f32 of storage is four bytes.
    // SAFETY: `a` holds depth/64 × 12 × 16 words, `b` depth/4 × 32 words, `c` 12 rows of 32 values.
    unsafe {
        fetch(call);
        for chunk in 0..depth / 64 {
            for four in 0..16 {
                if four % 4 == 0 {
                    ahead(chunk * 4 + four / 4);
                }
                let a = a.add(chunk * 12 * 16 + four);
                let b = b.add((chunk * 16 + four) * 32);
                let (b0, b1) = (_mm512_loadu_si512(b.cast()), _mm512_loadu_si512(b.add(16).cast()));
                for (r, row) in sums.iter_mut().enumerate() {
                    let x = _mm512_set1_epi32(a.add(r * 16).cast::<i32>().read());
                    row[0] = _mm512_dpbusd_epi32(row[0], x, b0);
                    row[1] = _mm512_dpbusd_epi32(row[1], x, b1);
                }
            }
        }
        for (r, row) in sums.iter().enumerate() {
            for (i, sum) in row.iter().enumerate() {
                let c = c.add(r * ldc + i * 16).cast();
                let sum = if add { _mm512_add_epi32(_mm512_loadu_si512(c), *sum) } else { *sum };
                _mm512_storeu_si512(c, sum);
            }
        }
    }
}
