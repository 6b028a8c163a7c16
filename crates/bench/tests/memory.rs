//! What is warm takes nothing from the system: no step after the first touches new pages.
//!
//! A program of its own, since it installs its own allocator; one test, since it looks at what all threads take.

use vidit_bench::{Case, train_step, vae_decode, wan_block};
use vidit_kernels::alloc::CachingAllocator;
use vidit_kernels::gemm::WeightFormat;
use vidit_kernels::{Isa, Precision};
use vidit_video::PixelShape;

#[global_allocator]
static ALLOCATOR: CachingAllocator = CachingAllocator::new();

/// Runs until two runs in a row take no big block. Threads that first meet a kernel in a later run take their scratch then, and
/// which blocks live at once is a matter of timing: a few runs may take some.
fn runs_until_warm(case: Case) -> Option<usize> {
    let mut work = (case.prepare)();
    let mut calm = 0;
    (1..=12).find(|_| {
        let before = ALLOCATOR.usage().taken;
        work();
        calm = if ALLOCATOR.usage().taken == before { calm + 1 } else { 0 };
        calm == 2
    })
}

#[test]
fn steps_after_the_first_few_take_no_big_block_from_the_system() {
    ALLOCATOR.set_kept_bytes_max(4 << 30);
    let decode = vae_decode(PixelShape::new(5, 64, 64), Precision::F32).unwrap();
    let mut cases = vec![wan_block(150, WeightFormat::F32), wan_block(150, WeightFormat::Int8), decode];
    cases.extend(train_step(Precision::F32).pop());
    for case in cases {
        let name = case.name.clone();
        let runs = runs_until_warm(case);
        println!("{name}: warm after {runs:?} runs");
        assert!(runs.is_some(), "{name} took memory in each of 12 runs, at {}", Isa::current());
    }
    // What is taken is counted: a block larger than any before.
    let before = ALLOCATOR.usage().taken;
    std::hint::black_box(Vec::<u8>::with_capacity(3 << 30).capacity());
    assert_eq!(ALLOCATOR.usage().taken, before + 1);
}
