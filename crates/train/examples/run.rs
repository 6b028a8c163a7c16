use std::sync::atomic::AtomicBool;
#[global_allocator]
static ALLOC: vidit_kernels::alloc::CachingAllocator = vidit_kernels::alloc::CachingAllocator::new();
fn main() {
    ALLOC.set_kept_bytes_max(6 << 30);
    let path = std::path::PathBuf::from(std::env::args().nth(1).unwrap());
    let resume = std::env::args().nth(2).is_some();
    let r = vidit_train::train_file(&path, resume, &AtomicBool::new(false), &mut |p| {
        if p.step % 20 == 0 || p.step < 4 { println!("{} {} {:.3}s", p.step, p.loss, p.step_secs); }
    });
    if let Err(e) = r { eprintln!("error: {e}"); std::process::exit(1) }
}
