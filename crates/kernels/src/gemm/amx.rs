//! AMX: 2 × 2 tiles of sums, two tiles of A, two of B, in one `asm!` block, because nothing promises that tiles survive
//! between two. bf16 and int8 differ in the instruction alone.

use std::arch::asm;
use std::cell::Cell;

use super::micro::Call;

/// Palette 1: eight tiles of 16 rows × 64 bytes.
#[repr(C, align(64))]
struct TileConfig {
    palette: u8,
    start_row: u8,
    reserved: [u8; 14],
    bytes_per_row: [u16; 16],
    rows: [u8; 16],
}

static CONFIG: TileConfig = TileConfig {
    palette: 1,
    start_row: 0,
    reserved: [0; 14],
    bytes_per_row: [64, 64, 64, 64, 64, 64, 64, 64, 0, 0, 0, 0, 0, 0, 0, 0],
    rows: [16, 16, 16, 16, 16, 16, 16, 16, 0, 0, 0, 0, 0, 0, 0, 0],
};

thread_local! {
    static CONFIGURED: Cell<bool> = const { Cell::new(false) };
}

/// Sums of 32 rows and 32 columns over `$chunks` chunks of `$bytes` bytes of a panel, each added by `$steps`.
///
/// C: 32 columns of four bytes are two tiles side by side; sums begin with what it held, or zero.
/// With each chunk the steps ask for a row of C and for some of what comes next.
///
/// # Safety
/// The panels hold so many chunks, `c` 32 rows of 128 bytes, `ldc` values apart, and the tiles are configured.
macro_rules! multiply {
    ([$($steps:expr),*], $bytes:literal, $call:expr, $chunks:expr, [$($begin:literal),*]) => {{
        let &Call { a, b, c, ldc, next, next_len, .. } = $call;
        let chunks: usize = $chunks;
        // Rows of C lie apart, and far: nothing else asks for them.
        let row = if ldc > 32 { ldc * 4 } else { 0 };
        let (next, step) = if next_len > 0 { (next, next_len * 4 / chunks) } else { (b, 0) };
        asm!(
            $($begin,)*
            "2:",
            $($steps,)*
            "add {p}, {row}",
            "cmp {p}, {end}",
            "cmovae {p}, {c}",
            "add {next}, {step}",
            concat!("add {a}, ", $bytes),
            concat!("add {b}, ", $bytes),
            "dec {chunks:e}",
            "jnz 2b",
            "lea {p}, [{sc} * 8]",
            "lea {p}, [{c} + {p} * 2]",
            "tilestored [{c} + {sc}], tmm0",
            "tilestored [{c} + {sc} + 64], tmm1",
            "tilestored [{p} + {sc}], tmm2",
            "tilestored [{p} + {sc} + 64], tmm3",
            a = inout(reg) a => _,
            b = inout(reg) b => _,
            c = in(reg) c,
            p = inout(reg) c => _,
            end = in(reg) c.wrapping_byte_add(32 * row),
            row = in(reg) row,
            sc = in(reg) ldc * 4,
            sa = in(reg) 64usize,
            sb = in(reg) 128usize,
            next = inout(reg) next => _,
            step = in(reg) step,
            chunks = inout(reg) chunks => _,
            out("tmm0") _, out("tmm1") _, out("tmm2") _, out("tmm3") _,
            out("tmm4") _, out("tmm5") _, out("tmm6") _, out("tmm7") _,
            options(nostack),
        );
    }};
    ($steps:tt, $bytes:literal, $call:expr, $chunks:expr) => {
        if $call.add {
            multiply!($steps, $bytes, $call, $chunks, [
                "lea {p}, [{sc} * 8]",
                "lea {p}, [{c} + {p} * 2]",
                "tileloadd tmm0, [{c} + {sc}]",
                "tileloadd tmm1, [{c} + {sc} + 64]",
                "tileloadd tmm2, [{p} + {sc}]",
                "tileloadd tmm3, [{p} + {sc} + 64]",
                "mov {p}, {c}"
            ]);
        } else {
            multiply!($steps, $bytes, $call, $chunks, [
                "tilezero tmm0", "tilezero tmm1", "tilezero tmm2", "tilezero tmm3"
            ]);
        }
    };
}
/// A chunk: 32 rows × 64 bytes of A, rows 16.. begin 1,024 bytes on; 16 rows × 128 bytes of B, columns 16.. begin 64 bytes on.
macro_rules! multiply_chunk {
    ($dot:literal, $call:expr, $chunks:expr) => {
        multiply!(
            [
                "tileloadd tmm4, [{a} + {sa}]",
                "prefetcht1 [{next}]",
                "prefetcht1 [{next} + 64]",
                "tileloadd tmm6, [{b} + {sb}]",
                concat!($dot, " tmm0, tmm4, tmm6"),
                "prefetchw [{p}]",
                "prefetchw [{p} + 64]",
                "tileloadd tmm7, [{b} + {sb} + 64]",
                concat!($dot, " tmm1, tmm4, tmm7"),
                "prefetcht1 [{next} + 128]",
                "prefetcht1 [{next} + 192]",
                "tileloadd tmm5, [{a} + {sa} + 1024]",
                concat!($dot, " tmm2, tmm5, tmm6"),
                concat!($dot, " tmm3, tmm5, tmm7")
            ],
            2048,
            $call,
            $chunks
        )
    };
}

/// `C[32, 32]`, panels `[depth/32, 32, 32]` and `[depth/2, 32, 2]` of bf16; `depth` is a positive multiple of 32.
///
/// # Safety
/// See [`super::micro::Kernel`]; needs AMX-BF16 and the kernel's grant of the tile state (`Isa::Amx` is supported).
pub(super) unsafe fn kernel_32x32(call: &Call) {
    // SAFETY: the caller's promise.
    unsafe {
        configure();
        multiply_chunk!("tdpbf16ps", call, call.depth / 32);
    }
}

/// `C[32, 32]`, panels of bf16 whose chunks of 2,048 bytes come in twos, the values' first parts and their second: the sum of
/// first · second, first · first and second · first, twelve products of tiles for eight loads of them. `depth` is a positive
/// multiple of 32.
///
/// # Safety
/// See [`kernel_32x32`].
pub(super) unsafe fn kernel_two_parts_32x32(call: &Call) {
    // SAFETY: the caller's promise.
    unsafe {
        configure();
        multiply!(
            [
                "tileloadd tmm4, [{a} + {sa}]",
                "prefetcht1 [{next}]",
                "prefetcht1 [{next} + 64]",
                "tileloadd tmm6, [{b} + {sb} + 2048]",
                "tdpbf16ps tmm0, tmm4, tmm6",
                "prefetchw [{p}]",
                "prefetchw [{p} + 64]",
                "tileloadd tmm7, [{b} + {sb} + 2112]",
                "tdpbf16ps tmm1, tmm4, tmm7",
                "prefetcht1 [{next} + 128]",
                "prefetcht1 [{next} + 192]",
                "tileloadd tmm5, [{a} + {sa} + 1024]",
                "tdpbf16ps tmm2, tmm5, tmm6",
                "tdpbf16ps tmm3, tmm5, tmm7",
                "tileloadd tmm6, [{b} + {sb}]",
                "tdpbf16ps tmm0, tmm4, tmm6",
                "prefetcht1 [{next} + 256]",
                "prefetcht1 [{next} + 320]",
                "tileloadd tmm7, [{b} + {sb} + 64]",
                "tdpbf16ps tmm1, tmm4, tmm7",
                "tdpbf16ps tmm2, tmm5, tmm6",
                "tdpbf16ps tmm3, tmm5, tmm7",
                "tileloadd tmm4, [{a} + {sa} + 2048]",
                "tdpbf16ps tmm0, tmm4, tmm6",
                "prefetcht1 [{next} + 384]",
                "prefetcht1 [{next} + 448]",
                "tdpbf16ps tmm1, tmm4, tmm7",
                "tileloadd tmm5, [{a} + {sa} + 3072]",
                "tdpbf16ps tmm2, tmm5, tmm6",
                "tdpbf16ps tmm3, tmm5, tmm7"
            ],
            4096,
            call,
            call.depth / 32
        );
    }
}

/// `C[32, 32]` of i32, panels `[depth/64, 32, 64]` and `[depth/4, 32, 4]` of i8; `depth` is a positive multiple of 64.
///
/// # Safety
/// See [`super::micro::Kernel`]; needs AMX-INT8 and the kernel's grant of the tile state.
pub(super) unsafe fn kernel_int8_32x32(call: &Call) {
    // SAFETY: the caller's promise.
    unsafe {
        configure();
        multiply_chunk!("tdpbssd", call, call.depth / 64);
    }
}

/// What [`multiply_rows`] multiplies.
pub(crate) struct Rows<'a> {
    /// bf16 of the first of 32 rows.
    pub a: *const u16,
    /// Between two rows.
    pub stride_bytes: usize,
    /// Where segments of depth begin in every row.
    pub offsets: &'a [usize],
    /// Depth of each segment, in chunks of 32.
    pub chunks: usize,
    /// A panel of all segments.
    pub b: *const f32,
    /// What is asked for meanwhile, an eighth of a panel.
    pub next: *const f32,
}

/// `C[32, 32] = A · B panel`, or `+=`, rows of A where they lie.
///
/// # Safety
/// Every segment of each row is there to read, `b` holds 2,048 bytes a chunk, there is a segment and a chunk, and
/// `Isa::Amx` is supported.
pub(crate) unsafe fn multiply_rows(rows: &Rows, c: &mut [f32; 32 * 32], add: bool) {
    let &Rows { a, stride_bytes, offsets, chunks, b, next } = rows;
    // SAFETY: the caller's promise; C is 32 rows of 128 bytes.
    unsafe {
        configure();
        asm!(
            "test {i:e}, {i:e}",
            "jz 4f",
            "tileloadd tmm0, [{c} + {sb}]",
            "tileloadd tmm1, [{c} + {sb} + 64]",
            "tileloadd tmm2, [{c} + {sb} + 2048]",
            "tileloadd tmm3, [{c} + {sb} + 2112]",
            "jmp 3f",
            "4:",
            "tilezero tmm0", "tilezero tmm1", "tilezero tmm2", "tilezero tmm3",
            "3:",
            "mov {low}, [{offset}]",
            "add {offset}, 8",
            "add {low}, {a}",
            "lea {high}, [{low} + {sa} * 8]",
            "lea {high}, [{high} + {sa} * 8]",
            "mov {i}, {chunks}",
            "2:",
            "tileloadd tmm4, [{low} + {sa}]",
            "prefetcht1 [{next}]",
            "prefetcht1 [{next} + 64]",
            "tileloadd tmm6, [{b} + {sb}]",
            "tdpbf16ps tmm0, tmm4, tmm6",
            "tileloadd tmm7, [{b} + {sb} + 64]",
            "tdpbf16ps tmm1, tmm4, tmm7",
            "prefetcht1 [{next} + 128]",
            "prefetcht1 [{next} + 192]",
            "tileloadd tmm5, [{high} + {sa}]",
            "tdpbf16ps tmm2, tmm5, tmm6",
            "add {low}, 64",
            "add {high}, 64",
            "add {b}, 2048",
            "add {next}, 256",
            "tdpbf16ps tmm3, tmm5, tmm7",
            "dec {i}",
            "jnz 2b",
            "dec {segments}",
            "jnz 3b",
            "tilestored [{c} + {sb}], tmm0",
            "tilestored [{c} + {sb} + 64], tmm1",
            "tilestored [{c} + {sb} + 2048], tmm2",
            "tilestored [{c} + {sb} + 2112], tmm3",
            a = in(reg) a,
            low = out(reg) _,
            high = out(reg) _,
            sa = in(reg) stride_bytes,
            offset = inout(reg) offsets.as_ptr() => _,
            segments = inout(reg) offsets.len() => _,
            chunks = in(reg) chunks,
            i = inout(reg) usize::from(add) => _,
            b = inout(reg) b => _,
            sb = in(reg) 128usize,
            next = inout(reg) next => _,
            c = in(reg) c.as_mut_ptr(),
            out("tmm0") _, out("tmm1") _, out("tmm2") _, out("tmm3") _,
            out("tmm4") _, out("tmm5") _, out("tmm6") _, out("tmm7") _,
            options(nostack),
        );
    }
}

/// Tells this thread's tiles their shape; it stays.
///
/// # Safety
/// The machine has AMX and the tile state was granted.
unsafe fn configure() {
    if !CONFIGURED.get() {
        // SAFETY: CONFIG is 64 valid bytes of palette 1; the caller's promise covers the instruction.
        unsafe {
            asm!("ldtilecfg [{config}]", config = in(reg) &raw const CONFIG, options(nostack, readonly))
        };
        CONFIGURED.set(true);
    }
}

macro_rules! spin {
    ($name:ident, $dot:literal) => {
        /// Multiplies random tiles `4 · rounds` times and nothing else, for [`crate::peak`].
        ///
        /// # Panics
        /// If AMX is not there.
        pub(crate) fn $name(rounds: usize) {
            assert!(crate::Isa::Amx.is_supported() && rounds > 0);
            let values = random_tile();
            // SAFETY: AMX was asserted; the tiles are loaded from 16 rows × 64 bytes of `values`.
            unsafe {
                configure();
                asm!(
                    "tilezero tmm0", "tilezero tmm1", "tilezero tmm2", "tilezero tmm3",
                    "tileloadd tmm4, [{x} + {s}]",
                    "tileloadd tmm5, [{x} + {s}]",
                    "tileloadd tmm6, [{x} + {s}]",
                    "tileloadd tmm7, [{x} + {s}]",
                    "2:",
                    concat!($dot, " tmm0, tmm4, tmm6"),
                    concat!($dot, " tmm1, tmm4, tmm7"),
                    concat!($dot, " tmm2, tmm5, tmm6"),
                    concat!($dot, " tmm3, tmm5, tmm7"),
                    "dec {rounds}",
                    "jnz 2b",
                    x = in(reg) values.as_ptr(),
                    s = in(reg) 64usize,
                    rounds = inout(reg) rounds => _,
                    out("tmm0") _, out("tmm1") _, out("tmm2") _, out("tmm3") _,
                    out("tmm4") _, out("tmm5") _, out("tmm6") _, out("tmm7") _,
                    options(nostack, readonly),
                );
            }
        }
    };
}
spin!(spin_bf16, "tdpbf16ps");
spin!(spin_int8, "tdpbssd");

/// Bits of bf16 between ½ and 2 with either sign; as bytes, anything.
fn random_tile() -> [u16; 512] {
    let mut state = 0x9e37_79b9_u32;
    std::array::from_fn(|_| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 16) as u16 & 0x80ff | 0x3f00
    })
}
