//! One probe of the processor, one switch that tests can force.

use std::fmt;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU8, Ordering};

/// An instruction set that the kernels have code for, in the order of preference.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Isa {
    /// Plain Rust, the oracle.
    Scalar = 0,
    /// AArch64 NEON, f32.
    Neon = 1,
    /// x86-64 AVX2 + FMA, f32.
    Avx2 = 2,
    /// x86-64 AVX-512 F/BW/DQ/VL, f32.
    Avx512 = 3,
    /// AVX-512 with the bf16 dot product.
    Avx512Bf16 = 4,
    /// Intel AMX bf16 tiles, with AVX-512 around them.
    Amx = 5,
}

/// The variable that hides instruction sets.
pub const VARIABLE: &str = "VIDIT_ISA";

/// In which format operands of a matrix product are multiplied. Sums are f32 in all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Precision {
    /// f32 operands.
    F32,
    /// Operands rounded to bf16 (nearest even) when packed; native on [`Isa::Amx`] and [`Isa::Avx512Bf16`],
    /// emulated by rounding then multiplying in f32 elsewhere, so that every machine computes the same function.
    Bf16,
    /// For results that are held to those of f32, where [`Isa::Amx`] multiplies bf16 sixteen times as fast: each operand in two
    /// parts of bf16, sixteen bits of its 24, and three products (the fourth, of the second parts, is below 2⁻¹⁶ of the first).
    /// Elsewhere the same as f32.
    TwoParts,
}

impl Precision {
    /// bf16 where the hardware multiplies it, f32 elsewhere.
    pub fn native() -> Self {
        if Isa::current() >= Isa::Avx512Bf16 { Precision::Bf16 } else { Precision::F32 }
    }
}

impl Isa {
    /// All levels, lowest first.
    pub const ALL: [Isa; 6] = [Isa::Scalar, Isa::Neon, Isa::Avx2, Isa::Avx512, Isa::Avx512Bf16, Isa::Amx];

    /// The name that the `VIDIT_ISA` variable and `vidit doctor` use.
    pub fn name(self) -> &'static str {
        match self {
            Isa::Scalar => "scalar",
            Isa::Neon => "neon",
            Isa::Avx2 => "avx2",
            Isa::Avx512 => "avx512",
            Isa::Avx512Bf16 => "avx512bf16",
            Isa::Amx => "amx",
        }
    }

    /// The level of that name, if there is one.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|isa| isa.name() == name)
    }

    /// Whether this machine can execute the level, and `VIDIT_ISA` does not hide it: that names the highest one that there is
    /// said to be, so that every program and every test of this workspace can run as on a lesser machine. A name that is none
    /// hides nothing here; `vidit` refuses it.
    pub fn is_supported(self) -> bool {
        static SUPPORTED: OnceLock<[bool; 6]> = OnceLock::new();
        let there = || {
            let named = std::env::var(VARIABLE).ok();
            let highest = named.and_then(|name| Self::from_name(&name)).unwrap_or(Isa::Amx);
            Self::ALL.map(|isa| isa <= highest && probe(isa))
        };
        SUPPORTED.get_or_init(there)[self as usize]
    }

    /// The fastest level this machine can execute: the highest, but for [`Isa::Avx512Bf16`] on Intel, where the bf16 dot
    /// product runs at half the rate of f32 (170 against 328 GFLOP/s on two cores of Emerald Rapids).
    pub fn best() -> Self {
        static BEST: OnceLock<Isa> = OnceLock::new();
        *BEST.get_or_init(|| {
            let slow = |isa| match isa {
                Isa::Avx512Bf16 => is_intel(),
                Isa::Amx => cfg!(not(feature = "emulate-amx")) && amx_emulated(),
                _ => false,
            };
            let fast = |isa: &Isa| isa.is_supported() && !slow(*isa);
            Self::ALL.into_iter().rev().find(fast).unwrap_or(Isa::Scalar)
        })
    }

    /// The level in use: what [`Isa::force`] set, else [`Isa::best`].
    pub fn current() -> Self {
        match FORCED.load(Ordering::Relaxed) {
            NOT_FORCED => Self::best(),
            level => Self::ALL[level as usize],
        }
    }

    /// Uses a lower level from now on, in all threads. Results of different levels differ in the last bits.
    ///
    /// # Errors
    /// If the machine cannot execute the level; the sentence says what it can.
    pub fn force(self) -> Result<(), String> {
        if !self.is_supported() {
            let usable: Vec<_> =
                Self::ALL.into_iter().filter(|isa| isa.is_supported()).map(Isa::name).collect();
            return Err(format!(
                "instruction set `{}` cannot run on this machine\nhint: it has {}",
                self.name(),
                usable.join(", ")
            ));
        }
        FORCED.store(self as u8, Ordering::Relaxed);
        Ok(())
    }
}

impl fmt::Display for Isa {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

const NOT_FORCED: u8 = u8::MAX;
static FORCED: AtomicU8 = AtomicU8::new(NOT_FORCED);

#[cfg(target_arch = "x86_64")]
fn probe(isa: Isa) -> bool {
    let avx512 = || {
        is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("avx512dq")
            && is_x86_feature_detected!("avx512vl")
    };
    match isa {
        Isa::Scalar => true,
        Isa::Neon => false,
        Isa::Avx2 => is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma"),
        Isa::Avx512 => avx512(),
        Isa::Avx512Bf16 => avx512() && is_x86_feature_detected!("avx512bf16"),
        Isa::Amx => avx512() && is_x86_feature_detected!("avx512bf16") && (amx_granted() || amx_emulated()),
    }
}

#[cfg(target_arch = "aarch64")]
fn probe(isa: Isa) -> bool {
    matches!(isa, Isa::Scalar | Isa::Neon)
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
fn probe(isa: Isa) -> bool {
    matches!(isa, Isa::Scalar)
}

/// Whether the processor's maker calls itself GenuineIntel.
#[cfg(target_arch = "x86_64")]
fn is_intel() -> bool {
    let leaf = std::arch::x86_64::__cpuid(0);
    [leaf.ebx, leaf.edx, leaf.ecx].map(u32::to_le_bytes).concat() == b"GenuineIntel"
}

#[cfg(not(target_arch = "x86_64"))]
fn is_intel() -> bool {
    false
}

/// Whether AMX tiles multiply bytes, too (CPUID leaf 7: AMX-INT8). Asked only where [`Isa::Amx`] is supported.
#[cfg(target_arch = "x86_64")]
pub(crate) fn has_amx_int8() -> bool {
    amx_emulated() || std::arch::x86_64::__cpuid_count(7, 0).edx & (1 << 25) != 0
}

/// Whether tests run the instructions of tiles in plain Rust, on a machine that has none: those of this crate, and with the
/// feature `emulate-amx` those of any.
fn amx_emulated() -> bool {
    #[cfg(all(target_arch = "x86_64", target_os = "linux", any(test, feature = "emulate-amx")))]
    return !amx_granted() && crate::emulated::install();
    #[cfg(not(all(target_arch = "x86_64", target_os = "linux", any(test, feature = "emulate-amx"))))]
    false
}

/// AMX needs the processor (CPUID leaf 7: AMX-TILE, AMX-BF16; leaf 0x1D: palette 1 of 8 tiles, 16 rows × 64 bytes) and
/// the kernel's grant of the tile state, asked once per process before any thread touches a tile.
#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
fn amx_granted() -> bool {
    use std::arch::x86_64::__cpuid_count;
    const ARCH_REQ_XCOMP_PERM: libc::c_long = 0x1023;
    const XFEATURE_XTILEDATA: libc::c_long = 18;
    let highest_leaf = __cpuid_count(0, 0).eax;
    if highest_leaf < 0x1d {
        return false;
    }
    let features = __cpuid_count(7, 0).edx;
    let (tile, bf16) = (features & (1 << 24) != 0, features & (1 << 22) != 0);
    if !(tile && bf16) {
        return false;
    }
    let palette = __cpuid_count(0x1d, 1);
    let (names, bytes_per_row, rows) = (palette.ebx >> 16, palette.ebx & 0xffff, palette.ecx & 0xffff);
    if names < 8 || bytes_per_row < 64 || rows < 16 {
        return false;
    }
    // SAFETY: arch_prctl with these two integers changes a permission of this process and touches no memory.
    unsafe { libc::syscall(libc::SYS_arch_prctl, ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA) == 0 }
}

#[cfg(all(target_arch = "x86_64", not(target_os = "linux")))]
fn amx_granted() -> bool {
    false
}

/// Compiles one body of plain Rust several times, each with the vector width of an instruction set, and calls the one
/// that [`Isa::current`] allows. The body must be written so that the compiler can vectorise it.
macro_rules! multiversion {
    ($(#[$meta:meta])* $vis:vis fn $name:ident($($arg:ident: $ty:ty),* $(,)?) $(-> $ret:ty)? $body:block) => {
        $(#[$meta])*
        $vis fn $name($($arg: $ty),*) $(-> $ret)? {
            #[inline(always)]
            fn body($($arg: $ty),*) $(-> $ret)? $body

            #[cfg(target_arch = "x86_64")]
            {
                #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")]
                fn avx512($($arg: $ty),*) $(-> $ret)? { body($($arg),*) }
                #[target_feature(enable = "avx2,fma")]
                fn avx2($($arg: $ty),*) $(-> $ret)? { body($($arg),*) }
                let isa = $crate::Isa::current();
                if isa >= $crate::Isa::Avx512 {
                    // SAFETY: the level is only current where the probe found its features.
                    return unsafe { avx512($($arg),*) };
                }
                if isa == $crate::Isa::Avx2 {
                    // SAFETY: as above.
                    return unsafe { avx2($($arg),*) };
                }
            }
            body($($arg),*)
        }
    };
}
pub(crate) use multiversion;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_walk_both_ways_and_scalar_always_runs() {
        for isa in Isa::ALL {
            assert_eq!(Isa::from_name(isa.name()), Some(isa));
        }
        assert!(Isa::Scalar.is_supported());
        assert!(Isa::best().is_supported());
        assert_eq!(Isa::from_name("mmx"), None);
    }
}
