//! One case, timed.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use serde::Serialize;
use vidit_kernels::alloc::CachingAllocator;
use vidit_kernels::gemm::WeightFormat;
use vidit_kernels::{Isa, peak, thread_count};

/// What one run of a case does.
pub type Work = Box<dyn FnMut()>;

/// A named computation.
pub struct Case {
    /// Such as `gemm_4096x8960x1536`.
    pub name: String,
    /// Floating-point operations of a run; none where memory is what counts.
    pub flop: Option<f64>,
    /// Format of the operands.
    pub dtype: WeightFormat,
    /// Makes the operands, and what is timed.
    pub prepare: Box<dyn FnOnce() -> Work>,
}

/// What was found. The fields are those of a line of `vidit bench --json`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Measured {
    /// The case.
    pub name: String,
    /// `f32`, `bf16`, `two-parts` or `int8`.
    pub dtype: &'static str,
    /// Instruction set in use.
    pub isa: &'static str,
    /// Threads in use.
    pub threads: usize,
    /// Median of the runs.
    pub seconds: f64,
    /// GFLOP a second in the median run; none where memory is what counts.
    pub gflops: Option<f64>,
    /// `gflops` over the peak of this instruction set and format, measured on registers in the same run.
    pub share_of_peak: Option<f64>,
    /// Most bytes of big blocks (64 KiB and more) in use at once, operands included.
    pub bytes_peak: usize,
    /// Big blocks that the timed runs took from the system. What is warm takes none.
    #[serde(skip)]
    pub blocks_taken: usize,
}

/// Peaks that were measured already.
#[derive(Default)]
pub struct Peaks(HashMap<(Isa, WeightFormat), f64>);

impl Peaks {
    /// FLOP a second of all threads on registers alone.
    pub fn get(&mut self, isa: Isa, format: WeightFormat) -> f64 {
        *self
            .0
            .entry((isa, format))
            .or_insert_with(|| peak::flops_per_second(isa, format, Duration::from_millis(40)))
    }
}

/// Runs a case once to warm up, then `runs` times. `allocator` is the program's own.
///
/// # Panics
/// If `runs` is 0.
pub fn measure(case: Case, runs: usize, peaks: &mut Peaks, allocator: &CachingAllocator) -> Measured {
    assert!(runs > 0, "at least one run");
    let isa = Isa::current();
    allocator.restart_peak();
    let before = allocator.usage().used_bytes;
    let mut work = (case.prepare)();
    work();
    let taken = allocator.usage().taken;
    let mut seconds: Vec<f64> = (0..runs)
        .map(|_| {
            let start = Instant::now();
            work();
            start.elapsed().as_secs_f64()
        })
        .collect();
    let usage = allocator.usage();
    let seconds = median(&mut seconds);
    let gflops = case.flop.map(|flop| flop / seconds * 1e-9);
    Measured {
        name: case.name,
        dtype: match case.dtype {
            WeightFormat::F32 => "f32",
            WeightFormat::Bf16 => "bf16",
            WeightFormat::TwoParts => "two-parts",
            WeightFormat::Int8 => "int8",
        },
        isa: isa.name(),
        threads: thread_count(),
        seconds,
        gflops,
        share_of_peak: gflops.map(|gflops| gflops * 1e9 / peaks.get(isa, case.dtype)),
        bytes_peak: usage.used_bytes_peak.saturating_sub(before),
        blocks_taken: usage.taken - taken,
    }
}

/// The middle value, or the mean of the two middle ones.
fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    let half = values.len() / 2;
    if values.len() % 2 == 1 { values[half] } else { (values[half - 1] + values[half]) / 2.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_of_odd_and_even_counts() {
        assert_eq!(median(&mut [3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(&mut [4.0, 1.0, 3.0, 2.0]), 2.5);
    }

    #[test]
    fn a_case_is_warmed_up_once_and_run_as_often_as_asked() {
        static ALLOCATOR: CachingAllocator = CachingAllocator::new();
        let count = std::rc::Rc::new(std::cell::Cell::new(0));
        let inner = count.clone();
        let case = Case {
            name: "sleep".into(),
            flop: Some(1e6),
            dtype: WeightFormat::F32,
            prepare: Box::new(move || {
                Box::new(move || {
                    inner.set(inner.get() + 1);
                    std::thread::sleep(Duration::from_millis(2));
                })
            }),
        };
        let found = measure(case, 3, &mut Peaks::default(), &ALLOCATOR);
        assert_eq!(count.get(), 4);
        assert!(found.seconds >= 2e-3 && found.gflops.unwrap() <= 0.5, "{found:?}");
        assert!(found.share_of_peak.unwrap() > 0.0);
    }
}
