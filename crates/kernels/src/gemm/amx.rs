//! AMX bf16: 2 × 2 tiles of sums, two tiles of A, two of B, in one `asm!` block, because nothing promises that tiles
//! survive between two.

use std::arch::asm;
use std::cell::Cell;

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

/// `tile[32, 32]`, panels `[depth/32, 32, 32]` and `[depth/2, 32, 2]` of bf16; `depth` is a positive multiple of 32.
///
/// # Safety
/// See [`super::micro::Kernel`]; needs AMX-BF16 and the kernel's grant of the tile state (`Isa::Amx` is supported).
pub(super) unsafe fn kernel_32x32(depth: usize, a: *const f32, b: *const f32, tile: *mut f32) {
    // `ldtilecfg` is per thread and stays.
    if !CONFIGURED.get() {
        // SAFETY: CONFIG is 64 valid bytes of palette 1; the caller's promise covers the instruction.
        unsafe {
            asm!("ldtilecfg [{config}]", config = in(reg) &raw const CONFIG, options(nostack, readonly))
        };
        CONFIGURED.set(true);
    }
    // A: 32 rows × 64 bytes a chunk, so rows 16.. begin 1,024 bytes on. B: 16 pairs × 128 bytes a chunk, columns 16..
    // begin 64 bytes on. C: rows of 128 bytes.
    // SAFETY: the panels hold depth/32 chunks of 2,048 bytes each, `tile` 32 × 128 bytes.
    unsafe {
        asm!(
            "tilezero tmm0", "tilezero tmm1", "tilezero tmm2", "tilezero tmm3",
            "2:",
            "tileloadd tmm4, [{a} + {sa}]",
            "tileloadd tmm6, [{b} + {sb}]",
            "tdpbf16ps tmm0, tmm4, tmm6",
            "tileloadd tmm7, [{b} + {sb} + 64]",
            "tdpbf16ps tmm1, tmm4, tmm7",
            "tileloadd tmm5, [{a} + {sa} + 1024]",
            "tdpbf16ps tmm2, tmm5, tmm6",
            "tdpbf16ps tmm3, tmm5, tmm7",
            "add {a}, 2048",
            "add {b}, 2048",
            "dec {chunks}",
            "jnz 2b",
            "tilestored [{c} + {sb}], tmm0",
            "tilestored [{c} + {sb} + 64], tmm1",
            "tilestored [{c2} + {sb}], tmm2",
            "tilestored [{c2} + {sb} + 64], tmm3",
            a = inout(reg) a => _,
            b = inout(reg) b => _,
            c = in(reg) tile,
            c2 = in(reg) tile.add(16 * 32),
            sa = in(reg) 64usize,
            sb = in(reg) 128usize,
            chunks = inout(reg) depth / 32 => _,
            out("tmm0") _, out("tmm1") _, out("tmm2") _, out("tmm3") _,
            out("tmm4") _, out("tmm5") _, out("tmm6") _, out("tmm7") _,
            options(nostack),
        );
    }
}
