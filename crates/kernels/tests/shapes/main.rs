//! Random shapes and strides of the public kernels against plain loops, with sentinels around what is written.
//!
//! `VIDIT_FUZZ_CASES=5000 cargo test -p vidit-kernels --test shapes` looks further than the default.

mod attention;
mod convolutions;
mod products;
mod rows;

use vidit_kernels::{Isa, Precision};

/// 64-bit linear congruential numbers: a failing case names its seed and comes back.
struct Random(u64);

impl Random {
    fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        self.0 >> 33
    }

    /// A number in `low..=high`.
    fn between(&mut self, low: usize, high: usize) -> usize {
        low + self.bits() as usize % (high - low + 1)
    }

    /// Small more often than large, and often a multiple of 16 or one beside it.
    fn size(&mut self, high: usize) -> usize {
        let high = if cfg!(miri) { high.min(24) } else { high };
        match self.between(0, 3) {
            0 => self.between(1, high.min(9)),
            1 => (self.between(1, high.div_ceil(16)) * 16 + self.between(0, 2))
                .saturating_sub(1)
                .clamp(1, high),
            _ => self.between(1, high),
        }
    }

    fn values(&mut self, count: usize) -> Vec<f32> {
        (0..count).map(|_| (self.bits() % 2001) as f32 / 1000.0 - 1.0).collect()
    }

    /// The same as products of this precision see them.
    fn operand(&mut self, count: usize, precision: Precision) -> Vec<f32> {
        self.values(count).into_iter().map(|value| rounded(precision, value) as f32).collect()
    }

    fn precision(&mut self) -> Precision {
        [Precision::F32, Precision::Bf16, Precision::TwoParts][self.between(0, 2)]
    }
}

/// Runs `case` with many seeds under each instruction set of this machine, one after the other: the switch is global.
fn for_each(cases: u64, case: impl Fn(&mut Random, &str)) {
    static TURN: std::sync::Mutex<()> = std::sync::Mutex::new(());
    let _turn = TURN.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    let cases = std::env::var("VIDIT_FUZZ_CASES").ok().and_then(|text| text.parse().ok()).unwrap_or(cases);
    for isa in Isa::ALL.into_iter().filter(|isa| isa.is_supported()) {
        isa.force().unwrap();
        for seed in 0..cases {
            case(&mut Random(seed * 7919 + 17), &format!("{isa}, seed {seed}"));
        }
    }
    Isa::best().force().unwrap();
}

/// What a value is once it is rounded for products.
fn rounded(precision: Precision, value: f32) -> f64 {
    match precision {
        Precision::F32 | Precision::TwoParts => value as f64,
        Precision::Bf16 => half::bf16::from_f32(value).to_f64(),
    }
}

/// Values lie in −1..1: `K` products of f32, each rounded to 2⁻²⁴, in another order; in two parts each is good to sixteen bits, and
/// errors go either way, as in a random walk.
fn close_in(precision: Precision, found: f32, expected: f64, depth: usize) -> bool {
    let parts = if precision == Precision::TwoParts { 2e-5 * (depth as f64).sqrt() } else { 0.0 };
    (found as f64 - expected).abs() <= 1e-6 * (depth as f64).max(4.0) + parts
}
