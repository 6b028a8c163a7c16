//! The innermost product of each instruction set, and the panel layouts it reads.
//!
//! f32 panels are `[depth, lanes]`. bf16 panels keep two neighbouring depths together: A as rows of 32 depths,
//! `[depth/32, mr, 32]`, B as pairs, `[depth/2, nr, 2]`, depth padded with zeros to a multiple of 32. Both formats are
//! read by AMX tile loads (64-byte rows) and by AVX-512 `vdpbf16ps` (broadcast pairs of A, vectors of pairs of B).
//! Where no bf16 unit exists, A is f32 whose values were rounded, and B may be kept in half the bytes: `[depth, nr/2]`
//! words of two bf16, lane `j` low and lane `j + nr/2` high, widened by a shift and a mask. int8 keeps four neighbouring
//! depths together, `[depth/64, mr, 64]` and `[depth/4, nr, 4]`, depth padded to a multiple of 64; its sums are i32 in the
//! bits of `C`. Two parts keep, of each 32 depths, the chunk of what bf16 holds of the values and behind it the chunk of what
//! bf16 holds of the rest: sixteen bits of every value in the bytes of f32.

use crate::cast::bf16_bits;
use crate::isa::{Isa, Precision};

use super::{Operand, scalar};

/// Largest `mr × nr` of any instruction set.
const TILE_MAX: usize = 32 * 32;
/// Depth that one bf16 panel row holds.
pub(super) const BF16_DEPTH: usize = 32;
/// Depth that one int8 panel row holds.
const INT8_DEPTH: usize = 64;
/// f32 values of storage that such a row of 64 bytes takes.
const CHUNK_WORDS: usize = 16;

/// Room for one `[mr, nr]` block of sums, where `C` has less.
#[repr(align(64))]
pub(super) struct Tile(pub [f32; TILE_MAX]);

impl Tile {
    pub fn new() -> Self {
        Self([0.0; TILE_MAX])
    }
}

/// What one call of a micro kernel works on: `C[mr, nr] = A panel · B panel` over `depth`, or `+=` where `add` is true. The
/// block's sum is made first and added once, or begins with what `C` held, but always the same for one kernel.
pub(super) struct Call {
    pub depth: usize,
    /// f32 storage in the kernel's format.
    pub a: *const f32,
    /// As `a`.
    pub b: *const f32,
    pub c: *mut f32,
    /// Values between two rows of `c`.
    pub ldc: usize,
    pub add: bool,
    /// What later calls will read: a kernel may ask for it while it multiplies, and reads none of it.
    pub next: *const f32,
    /// f32 values from `next` on.
    pub next_len: usize,
}

#[cfg(target_arch = "x86_64")]
impl Call {
    /// Asks for the first line of part `i` of `parts` of what comes next, as it is called with `i`: a kernel spreads these over its
    /// depth, since all at once would hold up the reads that are needed now.
    #[inline(always)]
    pub fn ahead(&self, parts: usize) -> impl Fn(usize) + use<> {
        use std::arch::x86_64::{_MM_HINT_T1, _mm_prefetch};
        let (next, part_len) = (self.next, self.next_len / parts.max(1));
        // SAFETY: what is asked for need not be there.
        move |i| unsafe { _mm_prefetch::<_MM_HINT_T1>(next.wrapping_add(i * part_len).cast()) }
    }
}

/// # Safety
/// Panels have the kernel's layout and length for `depth` (a multiple of 32 for bf16), `c` holds `mr` rows of `nr` values,
/// and the machine has the kernel's instruction set.
pub(super) type Kernel = unsafe fn(&Call);

/// A micro kernel and its block size.
pub(super) struct Micro {
    pub mr: usize,
    pub nr: usize,
    format: Format,
    kernel: Kernel,
}

macro_rules! micro {
    ($mr:expr, $nr:expr, $format:expr, $kernel:path) => {{
        const { assert!($mr * $nr <= TILE_MAX) };
        static MICRO: Micro = Micro { mr: $mr, nr: $nr, format: $format, kernel: $kernel };
        &MICRO
    }};
}

#[derive(Clone, Copy, PartialEq, Eq)]
#[cfg_attr(not(target_arch = "x86_64"), allow(dead_code))]
enum Format {
    F32,
    /// f32 panels whose values were rounded to bf16: what bf16 means where no bf16 unit exists.
    F32Rounded,
    /// The same with B in words of two bf16.
    Widened,
    Bf16,
    /// As bf16, twice: the values, and what rounding them left.
    TwoParts,
    /// Bytes; A has `offset` added, so that units which take one side unsigned serve too.
    Int8 {
        offset: u8,
    },
}

impl Micro {
    /// The best kernel for the current instruction set.
    pub fn select(precision: Precision) -> &'static Micro {
        Self::for_isa(Isa::current(), precision)
    }

    fn for_isa(isa: Isa, precision: Precision) -> &'static Micro {
        match (isa, precision) {
            #[cfg(target_arch = "x86_64")]
            (Isa::Amx, Precision::Bf16) => micro!(32, 32, Format::Bf16, super::amx::kernel_32x32),
            #[cfg(target_arch = "x86_64")]
            (Isa::Amx, Precision::TwoParts) => {
                micro!(32, 32, Format::TwoParts, super::amx::kernel_two_parts_32x32)
            }
            (_, Precision::TwoParts) => Self::for_isa(isa, Precision::F32),
            #[cfg(target_arch = "x86_64")]
            (Isa::Avx512Bf16, Precision::Bf16) => {
                micro!(12, 32, Format::Bf16, super::avx512::kernel_bf16_12x32)
            }
            #[cfg(target_arch = "x86_64")]
            (Isa::Amx | Isa::Avx512Bf16 | Isa::Avx512, Precision::F32) => {
                micro!(12, 32, Format::F32, super::avx512::kernel_12x32)
            }
            #[cfg(target_arch = "x86_64")]
            (Isa::Avx512, Precision::Bf16) => {
                micro!(12, 32, Format::Widened, super::avx512::kernel_widen_12x32)
            }
            #[cfg(target_arch = "x86_64")]
            (Isa::Avx2, Precision::F32) => micro!(6, 16, Format::F32, super::avx2::kernel_6x16),
            #[cfg(target_arch = "x86_64")]
            (Isa::Avx2, Precision::Bf16) => micro!(6, 16, Format::Widened, super::avx2::kernel_widen_6x16),
            #[cfg(target_arch = "aarch64")]
            (Isa::Neon, Precision::F32) => micro!(8, 12, Format::F32, super::neon::kernel_8x12),
            #[cfg(target_arch = "aarch64")]
            (Isa::Neon, Precision::Bf16) => micro!(8, 12, Format::F32Rounded, super::neon::kernel_8x12),
            (_, Precision::F32) => micro!(4, 8, Format::F32, scalar::kernel_4x8),
            (_, Precision::Bf16) => micro!(4, 8, Format::F32Rounded, scalar::kernel_4x8),
        }
    }

    /// The best int8 kernel for the current instruction set.
    pub fn int8() -> &'static Micro {
        Self::all_int8()[0]
    }

    /// All int8 kernels that the current instruction set allows, the fastest first. All give the same bits: sums of integers
    /// are exact.
    pub fn all_int8() -> Vec<&'static Micro> {
        let isa = Isa::current();
        let mut found: Vec<&'static Micro> = Vec::new();
        #[cfg(target_arch = "x86_64")]
        {
            use super::int8::{avx2, avx512};
            if isa == Isa::Amx && crate::isa::has_amx_int8() {
                found.push(micro!(32, 32, Format::Int8 { offset: 0 }, super::amx::kernel_int8_32x32));
            }
            if isa >= Isa::Avx512 && is_x86_feature_detected!("avx512vnni") {
                found.push(micro!(12, 32, Format::Int8 { offset: 128 }, avx512::kernel_12x32));
            }
            if isa >= Isa::Avx2 && is_x86_feature_detected!("avxvnni") {
                found.push(micro!(6, 16, Format::Int8 { offset: 128 }, avx2::kernel_vnni_6x16));
            }
            if isa >= Isa::Avx2 {
                found.push(micro!(4, 16, Format::Int8 { offset: 0 }, avx2::kernel_4x16));
            }
        }
        #[cfg(target_arch = "aarch64")]
        {
            use super::int8::neon;
            if isa == Isa::Neon && std::arch::is_aarch64_feature_detected!("dotprod") {
                found.push(micro!(8, 12, Format::Int8 { offset: 0 }, neon::kernel_dot_8x12));
            }
            if isa == Isa::Neon {
                found.push(micro!(4, 8, Format::Int8 { offset: 0 }, neon::kernel_4x8));
            }
        }
        found.push(micro!(4, 8, Format::Int8 { offset: 0 }, super::int8::scalar::kernel_4x8));
        found
    }

    /// Whether panels of B are f32, `[depth, nr]`.
    pub fn is_f32(&self) -> bool {
        self.format == Format::F32
    }

    /// What an int8 kernel's A has added to every value.
    pub fn offset(&self) -> u8 {
        match self.format {
            Format::Int8 { offset } => offset,
            _ => 0,
        }
    }

    /// Depth of one block: its panel of B stays in the first-level cache, or nearly, and the block of C is read and written once
    /// in so many depths. For 12 × 32 sums, 512 were 0 to 4 % faster than 256. AMX multiplies so much faster than C comes and goes
    /// that both panels rather come from the second level, for the whole of a usual depth: 1,536 of bf16 were 1.3 to 1.4
    /// times as fast as 256, 3,072 of bytes 1.1 to 1.3 times as fast as 512.
    pub fn depth_block(&self) -> usize {
        match self.format {
            // As many bytes as of bf16.
            Format::TwoParts => 24 * BF16_DEPTH,
            _ if self.is_tiles() => 48 * self.chunk_depth(),
            Format::Int8 { .. } => 4 * super::KC,
            _ if self.nr == 32 => 2 * super::KC,
            _ => super::KC,
        }
    }

    /// Rows of A that a task multiplies at once, a multiple of 12 or of 32: a part of the second-level cache. A panel of B, which
    /// comes from the third level, serves as many. At 1.3 T multiply-adds a second of AMX 96 rows would ask it for 26 GB/s
    /// a core, 256 for 10.
    pub fn row_block(&self) -> usize {
        if self.is_tiles() { 256 } else { 96 }
    }

    /// Columns that a task takes at once: their part of C stays in the second-level cache, with AMX beside the rows of A.
    pub fn columns_at_once(&self) -> usize {
        if self.is_tiles() { super::NC / 4 } else { super::NC }
    }

    /// Whether B is kept in pairs of bf16, of 32 columns, which only units of that format read.
    pub fn takes_pairs(&self) -> bool {
        self.format == Format::Bf16
    }

    /// Whether the kernel is one of AMX.
    pub fn is_tiles(&self) -> bool {
        self.mr == 32
    }

    /// Depth of a lane that its panel keeps together, and is padded to.
    fn chunk_depth(&self) -> usize {
        match self.format {
            Format::F32 | Format::F32Rounded | Format::Widened => 1,
            Format::Bf16 | Format::TwoParts => BF16_DEPTH,
            Format::Int8 { .. } => INT8_DEPTH,
        }
    }

    /// Depth that a panel of so much depth has room for.
    pub fn padded_depth(&self, depth: usize) -> usize {
        depth.next_multiple_of(self.chunk_depth())
    }

    /// f32 values of storage that a panel of so many lanes takes, unless it is widened.
    fn panel_len(&self, lanes: usize, depth: usize) -> usize {
        lanes * depth.div_ceil(self.chunk_depth()) * self.chunk_words()
    }

    /// f32 values of storage that so much depth of a lane takes.
    fn chunk_words(&self) -> usize {
        match self.format {
            Format::F32 | Format::F32Rounded | Format::Widened => 1,
            Format::Bf16 | Format::Int8 { .. } => CHUNK_WORDS,
            Format::TwoParts => 2 * CHUNK_WORDS,
        }
    }

    /// f32 values of storage that a panel of A of this depth takes.
    pub fn a_panel_len(&self, depth: usize) -> usize {
        self.panel_len(self.mr, depth)
    }

    /// f32 values of storage that a panel of B of this depth takes.
    pub fn b_panel_len(&self, depth: usize) -> usize {
        match self.format {
            Format::Widened => self.nr / 2 * depth,
            _ => self.panel_len(self.nr, depth),
        }
    }

    pub fn pack_a(
        &self,
        a: &impl Operand,
        lane0: usize,
        lanes: usize,
        k0: usize,
        kc: usize,
        out: &mut [f32],
    ) {
        self.pack(a, self.mr, lane0, lanes, k0, kc, out, Side::A);
    }

    pub fn pack_b(
        &self,
        b: &impl Operand,
        lane0: usize,
        lanes: usize,
        k0: usize,
        kc: usize,
        out: &mut [f32],
    ) {
        self.pack(b, self.nr, lane0, lanes, k0, kc, out, Side::B);
    }

    /// A panel of B from rows `[depth, nr]`, which have room for the padded depth: they themselves, or packed to `out`.
    pub fn b_of_rows<'a>(&self, rows: &'a mut [f32], depth: usize, out: &'a mut Vec<f32>) -> &'a [f32] {
        let (nr, padded) = (self.nr, self.padded_depth(depth));
        let rows = &mut rows[..padded * nr];
        rows[depth * nr..].fill(0.0);
        match self.format {
            Format::F32 => return rows,
            Format::F32Rounded => {
                round_to_bf16(rows);
                return rows;
            }
            Format::Widened | Format::Bf16 | Format::TwoParts | Format::Int8 { .. } => {}
        }
        out.resize(self.b_panel_len(depth), 0.0);
        match self.format {
            Format::Widened => halves(rows, nr, out),
            Format::Bf16 => pairs(rows, nr, out),
            Format::TwoParts => {
                let chunks =
                    rows.chunks_exact_mut(nr * BF16_DEPTH).zip(out.chunks_exact_mut(nr * BF16_DEPTH));
                chunks.for_each(|(rows, out)| two_parts(rows, out, |rows, out| pairs(rows, nr, out)));
            }
            _ => fours(rows, nr, out),
        }
        out
    }

    fn pack(
        &self,
        operand: &impl Operand,
        width: usize,
        lane0: usize,
        lanes: usize,
        k0: usize,
        kc: usize,
        out: &mut [f32],
        side: Side,
    ) {
        match self.format {
            Format::Bf16 | Format::TwoParts | Format::Int8 { .. }
                if side == Side::A && self.copy_runs(operand, lane0, lanes, k0, kc, out) => {}
            Format::Int8 { .. } if side == Side::A => unreachable!("bytes are made of rows alone"),
            Format::F32 => operand.pack(lane0, lanes, width, k0, kc, out),
            Format::F32Rounded => {
                operand.pack(lane0, lanes, width, k0, kc, out);
                round_to_bf16(out);
            }
            Format::Widened if side == Side::A => {
                operand.pack(lane0, lanes, width, k0, kc, out);
                round_to_bf16(out);
            }
            Format::Widened => {
                let mut square = [0.0f32; 32 * BF16_DEPTH];
                for (chunk, out) in out.chunks_mut(width / 2 * BF16_DEPTH).enumerate() {
                    let done = chunk * BF16_DEPTH;
                    let depth = BF16_DEPTH.min(kc - done);
                    let square = &mut square[..width * depth];
                    operand.pack(lane0, lanes, width, k0 + done, depth, square);
                    halves(square, width, out);
                }
            }
            Format::Bf16 | Format::TwoParts | Format::Int8 { .. } => {
                // A chunk at a time through a small f32 square.
                let chunk_depth = self.chunk_depth();
                let mut square = [0.0f32; 32 * INT8_DEPTH];
                let square = &mut square[..width * chunk_depth];
                for (chunk, out) in out.chunks_exact_mut(width * self.chunk_words()).enumerate() {
                    let done = chunk * chunk_depth;
                    let depth = chunk_depth.min(kc - done);
                    operand.pack(lane0, lanes, width, k0 + done, depth, square);
                    square[depth * width..].fill(0.0);
                    match (self.format, side) {
                        (Format::Int8 { .. }, _) => fours(square, width, out),
                        (Format::TwoParts, Side::A) => {
                            two_parts(square, out, |square, out| rows_of_32(square, width, out));
                        }
                        (Format::TwoParts, Side::B) => {
                            two_parts(square, out, |square, out| pairs(square, width, out));
                        }
                        (_, Side::A) => rows_of_32(square, width, out),
                        (_, Side::B) => pairs(square, width, out),
                    }
                }
            }
        }
    }

    /// [`Self::pack_a`] for lanes whose depths lie one after another, as these formats keep them; false where they do not.
    fn copy_runs(
        &self,
        operand: &impl Operand,
        lane0: usize,
        lanes: usize,
        k0: usize,
        kc: usize,
        out: &mut [f32],
    ) -> bool {
        let (depth, chunk) = (self.chunk_depth(), self.mr * self.chunk_words());
        assert!(lanes <= self.mr && out.len() >= self.a_panel_len(kc));
        if lanes < self.mr {
            out.fill(0.0);
        } else if kc % depth > 0 {
            out[kc / depth * chunk..].fill(0.0);
        }
        operand.each_run(lane0, lanes, k0, kc, |run| {
            assert!(run.lane < lanes && run.depth <= kc && run.values.len() <= kc - run.depth);
            let out = &mut out[run.lane * CHUNK_WORDS..];
            if let Format::Int8 { offset } = self.format {
                debug_assert_eq!(run.depth, 0);
                for (values, out) in run.values.chunks(depth).zip(out.chunks_mut(chunk)) {
                    row_of_bytes(values, run.factor, offset, &mut out[..CHUNK_WORDS]);
                }
                return;
            }
            #[cfg(target_arch = "x86_64")]
            // SAFETY: the format is chosen where AVX-512 BF16 is; the panel has room for this lane and these depths, asserted.
            unsafe {
                let (values, to) = (run.values, out.as_mut_ptr());
                if self.format == Format::TwoParts {
                    super::narrow::write_two_parts(values, run.factor, run.depth, chunk, to);
                } else {
                    super::narrow::write_run(values, run.factor, run.depth, chunk, to);
                }
            }
        })
    }

    /// `C[mr, nr] (+)= A panel · B panel`, rows of `c` `ldc` apart; `next` is what will be read later, of B.
    ///
    /// # Safety
    /// `c` holds `mr` rows of `nr` values that nobody else uses meanwhile.
    #[inline]
    pub unsafe fn multiply(
        &self,
        depth: usize,
        a: &[f32],
        b: &[f32],
        c: *mut f32,
        ldc: usize,
        add: bool,
        next: &[f32],
    ) {
        let depth = self.padded_depth(depth);
        assert!(a.len() >= self.a_panel_len(depth) && b.len() >= self.b_panel_len(depth));
        // SAFETY: the panels were packed by `pack` in this kernel's format, `select` checked the instruction set, and the
        // caller vouches for `c`.
        unsafe {
            let (next, next_len) = (next.as_ptr(), next.len());
            (self.kernel)(&Call { depth, a: a.as_ptr(), b: b.as_ptr(), c, ldc, add, next, next_len });
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    A,
    B,
}

crate::isa::multiversion! {
    fn round_to_bf16(values: &mut [f32]) {
        for value in values {
            *value = f32::from_bits(bf16_bits(*value) << 16);
        }
    }
}

/// `square [32, width]` f32 → `[width, 32]` bf16, two to a word.
fn rows_of_32(square: &[f32], width: usize, out: &mut [f32]) {
    #[cfg(target_arch = "x86_64")]
    if width % 16 == 0 {
        // SAFETY: the format is chosen where AVX-512 BF16 is.
        return unsafe { super::narrow::rows_of_32(square, width, out) };
    }
    rows_of_32_any(square, width, out);
}

crate::isa::multiversion! {
    fn rows_of_32_any(square: &[f32], width: usize, out: &mut [f32]) {
        for lane in 0..width {
            for pair in 0..BF16_DEPTH / 2 {
                let low = bf16_bits(square[2 * pair * width + lane]);
                let high = bf16_bits(square[(2 * pair + 1) * width + lane]);
                out[lane * BF16_DEPTH / 2 + pair] = f32::from_bits(low | high << 16);
            }
        }
    }
}

/// `square [32, width]` f32 → `[16, width, 2]` bf16, two to a word.
fn pairs(square: &[f32], width: usize, out: &mut [f32]) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: the format is chosen where AVX-512 BF16 is.
    unsafe {
        super::narrow::pairs(square, width, out);
    }
    #[cfg(not(target_arch = "x86_64"))]
    unreachable!("no other unit takes pairs: {} values in {}, {width} wide", square.len(), out.len());
}

/// What bf16 holds of a chunk, then what it holds of the rest, each as `pack` lays it out.
fn two_parts(square: &mut [f32], out: &mut [f32], pack: impl Fn(&[f32], &mut [f32])) {
    let (first, second) = out.split_at_mut(out.len() / 2);
    pack(square, first);
    leave_rest(square);
    pack(square, second);
}

crate::isa::multiversion! {
    /// What rounding to bf16 leaves of each value; nothing of what is not finite, or would round to what is not.
    fn leave_rest(values: &mut [f32]) {
        for value in values {
            let rest = *value - f32::from_bits(bf16_bits(*value) << 16);
            *value = if rest.is_finite() { rest } else { 0.0 };
        }
    }
}

/// The low byte of the whole number nearest to `x`, ties to even, for |x| < 2²².
#[inline(always)]
fn byte(x: f32) -> u32 {
    (x + NEAREST).to_bits() & 0xff
}

/// 1.5 · 2²³: what is added to it leaves its nearest whole number in the lowest bits.
pub(super) const NEAREST: f32 = 12_582_912.0;

/// Up to 64 values, each times `factor` a number within ±127, rounded, → 64 bytes with an offset, four to a word.
fn row_of_bytes(values: &[f32], factor: f32, offset: u8, out: &mut [f32]) {
    #[cfg(target_arch = "x86_64")]
    if Isa::current() >= Isa::Avx512 {
        assert!(values.len() <= 4 * out.len());
        if values.len() < 4 * out.len() {
            out.fill(0.0);
        }
        // SAFETY: AVX-512 is there; the length was checked.
        return unsafe { super::narrow::write_bytes(values, factor, offset, out.as_mut_ptr().cast()) };
    }
    row_of_bytes_any(values, factor, offset, out);
}

crate::isa::multiversion! {
    fn row_of_bytes_any(values: &[f32], factor: f32, offset: u8, out: &mut [f32]) {
        let mut bytes = [offset; INT8_DEPTH];
        for (byte, value) in bytes.iter_mut().zip(values) {
            *byte = (value * factor + NEAREST).to_bits() as u8 ^ offset;
        }
        for (out, four) in out.iter_mut().zip(bytes.as_chunks::<4>().0) {
            *out = f32::from_bits(u32::from_le_bytes(*four));
        }
    }
}

crate::isa::multiversion! {
    /// `square [64, width]` of numbers within ±127, rounded, → `[16, width, 4]` bytes, four to a word.
    fn fours(square: &[f32], width: usize, out: &mut [f32]) {
        for (rows, out) in square.chunks_exact(4 * width).zip(out.chunks_exact_mut(width)) {
            let (low, high) = rows.split_at(2 * width);
            let ((a, b), (c, d)) = (low.split_at(width), high.split_at(width));
            for ((((out, a), b), c), d) in out.iter_mut().zip(a).zip(b).zip(c).zip(d) {
                *out = f32::from_bits(byte(*a) | byte(*b) << 8 | byte(*c) << 16 | byte(*d) << 24);
            }
        }
    }
}

crate::isa::multiversion! {
    /// `square [depth, width]` f32 → `[depth, width/2]` words: lane `j` in the low half, lane `j + width/2` in the high.
    fn halves(square: &[f32], width: usize, out: &mut [f32]) {
        for (row, out) in square.chunks_exact(width).zip(out.chunks_exact_mut(width / 2)) {
            let (low, high) = row.split_at(width / 2);
            for ((out, low), high) in out.iter_mut().zip(low).zip(high) {
                *out = f32::from_bits(bf16_bits(*low) | bf16_bits(*high) << 16);
            }
        }
    }
}
