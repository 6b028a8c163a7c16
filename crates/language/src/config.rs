use std::f64::consts::TAU;

/// A family of networks: how its blocks differ from the others'.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Architecture {
    /// Llama (Touvron et al. 2023), and SmolLM2, which is one.
    Llama,
    /// Qwen2: biases on queries, keys and values.
    Qwen2,
    /// Qwen3: normalised queries and keys, head width set apart from the width.
    Qwen3,
}

impl Architecture {
    /// The architecture of this name, as `general.architecture` and `model_type` have it.
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Llama, Self::Qwen2, Self::Qwen3].into_iter().find(|architecture| architecture.name() == name)
    }

    /// Its name in files.
    pub fn name(self) -> &'static str {
        match self {
            Self::Llama => "llama",
            Self::Qwen2 => "qwen2",
            Self::Qwen3 => "qwen3",
        }
    }
}

/// Sizes of a network.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// Its family.
    pub architecture: Architecture,
    /// Blocks.
    pub layers: usize,
    /// Width `D`.
    pub width: usize,
    /// Width within the feed-forward branch.
    pub hidden: usize,
    /// Query heads `N`.
    pub heads: usize,
    /// Heads of keys and values; each serves `N / kv_heads` query heads.
    pub kv_heads: usize,
    /// Head width `Dh`, even.
    pub head_width: usize,
    /// Entries of the vocabulary.
    pub vocabulary: usize,
    /// Positions that it was trained for.
    pub context: usize,
    /// ε of the RMS norms.
    pub norm_eps: f64,
    /// Rotary positions.
    pub rotary: Rotary,
}

/// Rotary positions (Su et al. 2021).
#[derive(Clone, Debug, PartialEq)]
pub struct Rotary {
    /// θ.
    pub base: f64,
    /// Divisors of the frequencies, one a pair.
    pub divisors: Vec<f32>,
    /// Whether pairs are neighbours (GGUF files of llamas, whose rows are permuted for it) or half a head apart.
    pub neighbours: bool,
}

impl Rotary {
    /// Cosines and sines of `count` positions from `first` on, each `[count, Dh / 2]` in one run.
    pub fn table(&self, first: usize, count: usize) -> (Vec<f32>, Vec<f32>) {
        let pairs = self.divisors.len();
        let angles = (first..first + count).flat_map(|position| {
            self.divisors.iter().enumerate().map(move |(pair, divisor)| {
                position as f64 / self.base.powf(pair as f64 / pairs as f64) / f64::from(*divisor)
            })
        });
        angles.map(|angle| (angle.cos() as f32, angle.sin() as f32)).unzip()
    }
}

/// How Llama 3.1 stretches slow frequencies beyond the context that they were trained for.
#[derive(Clone, Copy, Debug, PartialEq, serde::Deserialize)]
pub struct Llama3Scaling {
    /// Divisor of the slowest.
    pub factor: f64,
    /// Waves longer than the context over this are divided.
    pub low_freq_factor: f64,
    /// Waves shorter than the context over this stay.
    pub high_freq_factor: f64,
    /// The context, in tokens.
    pub original_max_position_embeddings: f64,
}

impl Llama3Scaling {
    /// The divisors of all pairs.
    pub fn divisors(&self, base: f64, pairs: usize) -> Vec<f32> {
        let divisor = |pair: usize| {
            let wave = TAU * base.powf(pair as f64 / pairs as f64);
            let turns = self.original_max_position_embeddings / wave;
            let kept = (turns - self.low_freq_factor) / (self.high_freq_factor - self.low_freq_factor);
            let kept = kept.clamp(0.0, 1.0);
            1.0 / (kept + (1.0 - kept) / self.factor)
        };
        (0..pairs).map(|pair| divisor(pair) as f32).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rotary_tables_hold_the_angles_of_each_pair() {
        let rotary = Rotary { base: 100.0, divisors: vec![1.0, 2.0], neighbours: false };
        let (cos, sin) = rotary.table(3, 2);
        // Positions 3 and 4; frequencies 1 and 100^(-1/2) / 2.
        for (at, angle) in [3.0f32, 0.15, 4.0, 0.2].into_iter().enumerate() {
            assert!((cos[at] - angle.cos()).abs() < 1e-6 && (sin[at] - angle.sin()).abs() < 1e-6, "{at}");
        }
    }

    #[test]
    fn slow_waves_are_stretched_and_fast_ones_stay() {
        let scaling = Llama3Scaling {
            factor: 32.0,
            low_freq_factor: 1.0,
            high_freq_factor: 4.0,
            original_max_position_embeddings: 8192.0,
        };
        let divisors = scaling.divisors(500_000.0, 32);
        assert_eq!((divisors[0], divisors[31]), (1.0, 32.0));
        assert!(divisors.is_sorted(), "{divisors:?}");
        assert!(divisors.iter().any(|divisor| (1.5..30.0).contains(divisor)), "{divisors:?}");
    }
}
