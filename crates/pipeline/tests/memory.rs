//! The plan of memory against what a generation takes. A program of its own, since it installs its own allocator.

use std::sync::atomic::AtomicBool;

use burn::tensor::Device;
use vidit_kernels::alloc::CachingAllocator;
use vidit_pipeline::{Limits, Model, Request, generate};
use vidit_video::PixelShape;

#[global_allocator]
static ALLOCATOR: CachingAllocator = CachingAllocator::new();

#[test]
fn a_generation_takes_no_more_than_its_plan_and_not_much_less() {
    let model = Model::embedded(&Device::flex()).unwrap();
    for (frames, height, width) in [(1, 128, 128), (25, 128, 128), (49, 96, 160), (9, 256, 256)] {
        let shape = PixelShape::new(frames, height, width);
        let request = Request { shape, steps: 1, seed: Some(1), ..Request::new("a cat walks to the left") };
        let valid = request.validate(&model, &Limits::default()).unwrap();
        let plan = valid.memory();
        // Of the plan's stages, without weights and program, which were there before.
        let planned = plan.denoise_bytes.max(plan.decode_bytes + plan.frames_bytes);
        let before = ALLOCATOR.usage().used_bytes;
        ALLOCATOR.restart_peak();
        let made = generate(&model, &valid, |_| {}, &AtomicBool::new(false)).unwrap();
        assert_eq!(made.frames.shape(), shape);
        let taken = (ALLOCATOR.usage().used_bytes_peak - before) as u64;
        println!("{shape}: {} KiB planned, {} KiB taken", planned >> 10, taken >> 10);
        assert!(before as u64 + taken <= plan.peak_bytes, "{shape}: {taken} beside {before}, {plan:?}");
        assert!(taken * 4 > planned, "{shape}: {taken} of {planned}");
    }
}
