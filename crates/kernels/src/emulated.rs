//! AMX where there is none, for tests: the signal of an unknown instruction is caught, and what the tile instruction would have
//! done is done in plain Rust. Some hundred times slower than the unit, but the same kernels run, byte for byte.

use std::cell::UnsafeCell;
use std::ptr;
use std::sync::OnceLock;

/// 16 rows × 64 bytes. The kernels know no other shape.
type Tile = [[u8; 64]; 16];

thread_local! {
    /// A handler may use it: it is there without having been made, and nothing drops it.
    static TILES: UnsafeCell<[Tile; 8]> = const { UnsafeCell::new([[[0; 64]; 16]; 8]) };
}

/// Whether the processor's own AVX-512 BF16 packs what tiles multiply, and the handler was set.
pub(crate) fn install() -> bool {
    static INSTALLED: OnceLock<bool> = OnceLock::new();
    *INSTALLED.get_or_init(|| {
        if !is_x86_feature_detected!("avx512bf16") {
            return false;
        }
        let handler: extern "C" fn(libc::c_int, *mut libc::siginfo_t, *mut libc::c_void) = on_unknown;
        // SAFETY: zeros are a valid sigaction; the handler has the type that SA_SIGINFO asks for.
        unsafe {
            let mut action: libc::sigaction = std::mem::zeroed();
            action.sa_sigaction = handler as libc::sighandler_t;
            action.sa_flags = libc::SA_SIGINFO | libc::SA_NODEFER;
            libc::sigaction(libc::SIGILL, &action, ptr::null_mut()) == 0
        }
    })
}

extern "C" fn on_unknown(_: libc::c_int, _: *mut libc::siginfo_t, context: *mut libc::c_void) {
    // SAFETY: with SA_SIGINFO the third argument is the context of this thread, which this handler alone holds.
    let registers = unsafe { &mut (*context.cast::<libc::ucontext_t>()).uc_mcontext.gregs };
    let at = registers[libc::REG_RIP as usize] as *const u8;
    // SAFETY: the instruction at `at` was fetched; those of tiles read what their operands name, as the unit would.
    match unsafe { execute(at, registers) } {
        Some(length) => registers[libc::REG_RIP as usize] += length as i64,
        // Not one of ours: let it happen again, to the end of the process.
        // SAFETY: the default action is always valid.
        None => drop(unsafe { libc::signal(libc::SIGILL, libc::SIG_DFL) }),
    }
}

/// The numbers of general registers in instructions, as the context orders them.
const GENERAL: [i32; 16] = [
    libc::REG_RAX,
    libc::REG_RCX,
    libc::REG_RDX,
    libc::REG_RBX,
    libc::REG_RSP,
    libc::REG_RBP,
    libc::REG_RSI,
    libc::REG_RDI,
    libc::REG_R8,
    libc::REG_R9,
    libc::REG_R10,
    libc::REG_R11,
    libc::REG_R12,
    libc::REG_R13,
    libc::REG_R14,
    libc::REG_R15,
];

/// Does what the instruction at `at` says; its length, or nothing where it is none of tiles.
///
/// All are `C4 (R̅ X̅ B̅ 00010) (W v̅v̅v̅v̅ L pp) opcode modrm [sib] [displacement]`.
///
/// # Safety
/// `at` is an instruction whose operands may be read and written.
unsafe fn execute(at: *const u8, registers: &[i64]) -> Option<usize> {
    // SAFETY: the caller's promise; the longest of these has ten bytes, and code does not end with one.
    let code: [u8; 10] = unsafe { ptr::read_unaligned(at.cast()) };
    let [0xc4, map, prefix, opcode, modrm, ..] = code else { return None };
    if map & 0x1f != 2 {
        return None;
    }
    let third = usize::from(!prefix >> 3 & 15);
    let (mode, first, second) = (modrm >> 6, usize::from(modrm >> 3 & 7), usize::from(modrm & 7));
    // SAFETY: no other reference to this thread's tiles is alive: the handler does not call itself.
    let tiles = unsafe { &mut *TILES.with(UnsafeCell::get) };
    match (opcode, prefix & 3, mode) {
        (0x49, 3, 3) => tiles[first] = [[0; 64]; 16], // tilezero
        (0x49, 0, 0) => return Some(4 + memory(&code, registers).2), // ldtilecfg
        (0x4b, pp, 0..=2) => {
            let (start, stride, length) = memory(&code, registers);
            for (row, values) in tiles[first].iter_mut().enumerate() {
                let row = start.wrapping_byte_offset(row as isize * stride);
                // SAFETY: the caller's promise: 64 bytes a row.
                unsafe {
                    match pp {
                        2 => ptr::copy_nonoverlapping(values.as_ptr(), row, 64), // tilestored
                        _ => ptr::copy_nonoverlapping(row, values.as_mut_ptr(), 64), // tileloadd
                    }
                }
            }
            return Some(4 + length);
        }
        (0x5c, 2, 3) => tiles[first] = add_bf16(&tiles[first], &tiles[second], &tiles[third]), // tdpbf16ps
        (0x5e, 3, 3) => tiles[first] = add_bytes(&tiles[first], &tiles[second], &tiles[third]), // tdpbssd
        _ => return None,
    }
    Some(5)
}

/// The address of the operand, the bytes between rows, and how long modrm, sib and displacement are.
fn memory(code: &[u8; 10], registers: &[i64]) -> (*mut u8, isize, usize) {
    let (extended, mode, low) = (!code[1], code[4] >> 6, code[4] & 7);
    let general = |number: u8| registers[GENERAL[usize::from(number)] as usize];
    let (base_bit, index_bit) = (extended >> 5 & 1, extended >> 6 & 1);
    let (base, stride, head) = match low {
        4 => {
            let (sib, index) = (code[5], code[5] >> 3 & 7 | index_bit << 3);
            let stride = if index == 4 { 0 } else { general(index) << (sib >> 6) };
            (sib & 7, stride, 2)
        }
        _ => (low, 0, 1),
    };
    assert!(mode > 0 || base != 5, "operands relative to the instruction are not written here");
    let (displacement, length) = match mode {
        0 => (0, 0),
        1 => (i64::from(code[4 + head] as i8), 1),
        _ => (i64::from(i32::from_le_bytes(std::array::from_fn(|i| code[4 + head + i]))), 4),
    };
    let start = general(base | base_bit << 3) + displacement;
    (ptr::with_exposed_provenance_mut(start as usize), stride as isize, head + length)
}

fn words(tile: &Tile) -> [[u32; 16]; 16] {
    tile.map(|row| {
        std::array::from_fn(|i| {
            u32::from_le_bytes([row[4 * i], row[4 * i + 1], row[4 * i + 2], row[4 * i + 3]])
        })
    })
}

fn tile(words: [[u32; 16]; 16]) -> Tile {
    words.map(|row| std::array::from_fn(|i| row[i / 4].to_le_bytes()[i % 4]))
}

/// `C + A · B`, A rows of 32 bf16, B rows of 16 pairs: sums of even and of odd depths, then their sum. Denormals count as zeros.
fn add_bf16(c: &Tile, a: &Tile, b: &Tile) -> Tile {
    let value = |bits: u32| if bits & 0x7f80_0000 == 0 { 0.0 } else { f32::from_bits(bits) };
    let halves = |word: u32| [value(word << 16), value(word & 0xffff_0000)];
    let b = words(b).map(|row| row.map(halves));
    let mut sums = words(c);
    for (sums, a) in sums.iter_mut().zip(words(a)) {
        let mut both = [[0.0f32; 2]; 16];
        for (a, b) in a.into_iter().map(halves).zip(&b) {
            for (sum, b) in both.iter_mut().zip(b) {
                *sum = [a[0].mul_add(b[0], sum[0]), a[1].mul_add(b[1], sum[1])];
            }
        }
        for (sum, [even, odd]) in sums.iter_mut().zip(both) {
            *sum = (f32::from_bits(*sum) + (even + odd)).to_bits();
        }
    }
    tile(sums)
}

/// `C + A · B` of i32, A rows of 64 signed bytes, B rows of 16 fours.
fn add_bytes(c: &Tile, a: &Tile, b: &Tile) -> Tile {
    let fours = |word: u32| word.to_le_bytes().map(|byte| i32::from(byte as i8));
    let b = words(b).map(|row| row.map(fours));
    let mut sums = words(c);
    for (sums, a) in sums.iter_mut().zip(words(a)) {
        for (a, b) in a.into_iter().map(fours).zip(&b) {
            for (sum, b) in sums.iter_mut().zip(b) {
                let four: i32 = a.iter().zip(b).map(|(a, b)| a * b).sum();
                *sum = sum.wrapping_add(four as u32);
            }
        }
    }
    tile(sums)
}
