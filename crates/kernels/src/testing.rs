//! Random operands and forced instruction sets, for the tests of all kernels.

use std::sync::{PoisonError, RwLock, RwLockReadGuard};

use crate::Isa;

/// A 64-bit linear congruential generator: the same numbers on every machine.
pub struct Lcg(u64);

impl Lcg {
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x1234_5678)
    }

    pub fn uniform(&mut self) -> f32 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 40) as f32 / (1u64 << 24) as f32
    }

    /// About normal: the sum of twelve uniforms.
    pub fn normal(&mut self, count: usize) -> Vec<f32> {
        (0..count).map(|_| (0..12).map(|_| self.uniform()).sum::<f32>() - 6.0).collect()
    }
}

/// Who switches levels writes, who needs one to stay reads: the switch is global, and tests run side by side.
static TURN: RwLock<()> = RwLock::new(());

/// No other test switches the level while this is held: for tests that compare bits of two runs.
pub fn hold_isa() -> RwLockReadGuard<'static, ()> {
    TURN.read().unwrap_or_else(PoisonError::into_inner)
}

/// Runs a test body under each level this machine has. Such tests take turns.
pub fn force_each_isa(body: impl Fn(Isa)) {
    let _turn = TURN.write().unwrap_or_else(PoisonError::into_inner);
    for isa in Isa::ALL.into_iter().filter(|isa| isa.is_supported()) {
        isa.force().unwrap();
        body(isa);
    }
    Isa::best().force().unwrap();
}

/// Checks `gradient` against central differences of `loss` at some positions of `x`.
pub fn check_gradient(what: &str, x: &[f32], gradient: &[f32], loss: impl Fn(&[f32]) -> f64) {
    assert_eq!(x.len(), gradient.len());
    let step = 1e-2f32;
    let stride = (x.len() / 23).max(1);
    let rms = (gradient.iter().map(|g| g * g).sum::<f32>() / gradient.len() as f32).sqrt();
    for i in (0..x.len()).step_by(stride) {
        let mut moved = x.to_vec();
        moved[i] = x[i] + step;
        let above = loss(&moved);
        moved[i] = x[i] - step;
        let below = loss(&moved);
        let numeric = ((above - below) / (2.0 * step as f64)) as f32;
        // Curvature (step²) and f32 rounding of the loss (2⁻²⁴ / step) both stay below this.
        let tolerance = 2e-2 * (rms.clamp(1e-3, 1.0) + numeric.abs());
        assert!(
            (numeric - gradient[i]).abs() < tolerance,
            "{what}[{i}]: gradient {} ≠ {numeric}",
            gradient[i]
        );
    }
}
