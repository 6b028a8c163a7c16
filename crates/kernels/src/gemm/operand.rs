//! How a matrix is read while it is packed.

/// One side of a product, seen as `lanes × depth`: rows of `A` or columns of `B`, each `K` deep.
pub trait Operand: Sync {
    /// Writes `out[d · width + l] = self[lane0 + l, depth0 + d]` for `l < lanes`, `d < depth`, and 0 for lanes from
    /// `lanes` to `width`.
    fn pack(&self, lane0: usize, lanes: usize, width: usize, depth0: usize, depth: usize, out: &mut [f32]);

    /// Hands `take` these lanes and depths in runs of values that lie one after another: formats that keep a lane's depths
    /// together copy them as they are. Returns false, and does nothing, where they lie otherwise.
    fn each_run(
        &self,
        _lane0: usize,
        _lanes: usize,
        _depth0: usize,
        _depth: usize,
        _take: impl FnMut(Run),
    ) -> bool {
        false
    }
}

/// Some depths of one lane.
pub struct Run<'a> {
    /// Counted from the first that was asked for.
    pub lane: usize,
    /// As the lane.
    pub depth: usize,
    /// What lies there.
    pub values: &'a [f32],
    /// What each is multiplied by.
    pub factor: f32,
}

/// Each lane's depth is contiguous: `A` stored `[M, K]`, or `B` stored transposed, `[N, K]`.
#[derive(Clone, Copy)]
pub struct LaneMajor<'a> {
    /// The values from lane 0, depth 0 on.
    pub data: &'a [f32],
    /// Distance between two lanes.
    pub stride: usize,
}

impl Operand for LaneMajor<'_> {
    fn pack(&self, lane0: usize, lanes: usize, width: usize, depth0: usize, depth: usize, out: &mut [f32]) {
        if lanes < width {
            out[..depth * width].fill(0.0);
        }
        for group in (0..lanes).step_by(8) {
            let count = 8.min(lanes - group);
            let mut rows = [&[][..]; 8];
            for (l, row) in rows.iter_mut().take(count).enumerate() {
                *row = &self.data[(lane0 + group + l) * self.stride + depth0..][..depth];
            }
            interleave(&rows[..count], group, width, out);
        }
    }

    fn each_run(
        &self,
        lane0: usize,
        lanes: usize,
        depth0: usize,
        depth: usize,
        mut take: impl FnMut(Run),
    ) -> bool {
        for lane in 0..lanes {
            let values = &self.data[(lane0 + lane) * self.stride + depth0..][..depth];
            take(Run { lane, depth: 0, values, factor: 1.0 });
        }
        true
    }
}

/// All lanes of one depth are contiguous: `B` stored `[K, N]`, or `A` stored transposed, `[K, M]`.
#[derive(Clone, Copy)]
pub struct DepthMajor<'a> {
    /// The values from depth 0, lane 0 on.
    pub data: &'a [f32],
    /// Distance between two depths.
    pub stride: usize,
}

impl Operand for DepthMajor<'_> {
    fn pack(&self, lane0: usize, lanes: usize, width: usize, depth0: usize, depth: usize, out: &mut [f32]) {
        let data = &self.data[depth0 * self.stride + lane0..];
        match (width, lanes) {
            (6, 6) => copy_rows::<6>(data, self.stride, depth, out),
            (12, 12) => copy_rows::<12>(data, self.stride, depth, out),
            (16, 16) => copy_rows::<16>(data, self.stride, depth, out),
            (32, 32) => copy_rows::<32>(data, self.stride, depth, out),
            _ => {
                for (d, row) in out.chunks_exact_mut(width).take(depth).enumerate() {
                    row[..lanes].copy_from_slice(&data[d * self.stride..][..lanes]);
                    row[lanes..].fill(0.0);
                }
            }
        }
    }
}

/// `W` values of each row: a length known to the compiler is a few registers, any other a call.
fn copy_rows<const W: usize>(data: &[f32], stride: usize, depth: usize, out: &mut [f32]) {
    for (d, row) in out.as_chunks_mut::<W>().0.iter_mut().take(depth).enumerate() {
        *row = *data[d * stride..].first_chunk().expect("the operand has `depth` rows");
    }
}

/// `out[d · width + lane0 + l] = rows[l][d]` for up to eight rows of one length.
pub(crate) fn interleave(rows: &[&[f32]], lane0: usize, width: usize, out: &mut [f32]) {
    let depth = rows.first().map_or(0, |row| row.len());
    assert!(rows.len() <= 8 && lane0 + rows.len() <= width && out.len() >= depth * width);
    #[cfg(not(target_arch = "x86_64"))]
    let done = 0;
    #[cfg(target_arch = "x86_64")]
    let done = if matches!(rows.len(), 4 | 6 | 8) && crate::Isa::current() >= crate::Isa::Avx2 {
        assert!(rows.iter().all(|row| row.len() == depth));
        // SAFETY: AVX2 is there; every row has `depth` values, `out` has room for lanes `lane0..` of `depth` depths.
        unsafe { interleave_avx2(rows, depth, lane0, width, out.as_mut_ptr()) }
    } else {
        0
    };
    for (l, row) in rows.iter().enumerate() {
        for d in done..depth {
            out[d * width + lane0 + l] = row[d];
        }
    }
}

/// Squares of 8 × 8 through registers. Returns the depths done, a multiple of 8.
///
/// # Safety
/// 4, 6 or 8 rows of `depth` values; `out` holds `depth · width` values and `lane0 + rows.len() ≤ width`.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
unsafe fn interleave_avx2(rows: &[&[f32]], depth: usize, lane0: usize, width: usize, out: *mut f32) -> usize {
    use std::arch::x86_64::*;
    let done = depth / 8 * 8;
    let mut pointers = [rows[0].as_ptr(); 8]; // missing rows read row 0, and are not stored
    for (pointer, row) in pointers.iter_mut().zip(rows) {
        *pointer = row.as_ptr();
    }
    for d0 in (0..done).step_by(8) {
        // SAFETY: d0 + 8 ≤ depth; stores stay within `rows.len()` lanes of each depth.
        unsafe {
            let r = pointers.map(|pointer| _mm256_loadu_ps(pointer.add(d0)));
            let (a0, a1) = (_mm256_unpacklo_ps(r[0], r[1]), _mm256_unpackhi_ps(r[0], r[1]));
            let (a2, a3) = (_mm256_unpacklo_ps(r[2], r[3]), _mm256_unpackhi_ps(r[2], r[3]));
            let (a4, a5) = (_mm256_unpacklo_ps(r[4], r[5]), _mm256_unpackhi_ps(r[4], r[5]));
            let (a6, a7) = (_mm256_unpacklo_ps(r[6], r[7]), _mm256_unpackhi_ps(r[6], r[7]));
            let (b0, b1) = (_mm256_shuffle_ps::<0x44>(a0, a2), _mm256_shuffle_ps::<0xee>(a0, a2));
            let (b2, b3) = (_mm256_shuffle_ps::<0x44>(a1, a3), _mm256_shuffle_ps::<0xee>(a1, a3));
            let (b4, b5) = (_mm256_shuffle_ps::<0x44>(a4, a6), _mm256_shuffle_ps::<0xee>(a4, a6));
            let (b6, b7) = (_mm256_shuffle_ps::<0x44>(a5, a7), _mm256_shuffle_ps::<0xee>(a5, a7));
            let columns = [
                _mm256_permute2f128_ps::<0x20>(b0, b4),
                _mm256_permute2f128_ps::<0x20>(b1, b5),
                _mm256_permute2f128_ps::<0x20>(b2, b6),
                _mm256_permute2f128_ps::<0x20>(b3, b7),
                _mm256_permute2f128_ps::<0x31>(b0, b4),
                _mm256_permute2f128_ps::<0x31>(b1, b5),
                _mm256_permute2f128_ps::<0x31>(b2, b6),
                _mm256_permute2f128_ps::<0x31>(b3, b7),
            ];
            for (d, column) in columns.into_iter().enumerate() {
                let to = out.add((d0 + d) * width + lane0);
                match rows.len() {
                    8 => _mm256_storeu_ps(to, column),
                    count => {
                        _mm_storeu_ps(to, _mm256_castps256_ps128(column));
                        if count == 6 {
                            let high = _mm256_extractf128_ps::<1>(column);
                            _mm_storel_epi64(to.add(4).cast(), _mm_castps_si128(high));
                        }
                    }
                }
            }
        }
    }
    done
}
