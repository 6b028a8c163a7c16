//! temporary
use std::path::Path;
use std::sync::atomic::AtomicBool;
use vidit_vbench::run::*;
use vidit_vbench::*;
fn main() {
    let a: Vec<String> = std::env::args().collect();
    let dims: Vec<Dimension> = a[1].split(',').map(|d| d.parse().unwrap()).collect();
    let plan = Plan::custom(Path::new(&a[2]), &dims, None, &Default::default()).unwrap();
    let w = WeightsFolder::open(Some(Path::new(&a[3])), &plan.dimensions()).unwrap();
    std::fs::create_dir_all(&a[4]).unwrap();
    let o = MeasureOptions {
        mode: Mode::Compat,
        weights: &w,
        folder: Path::new(&a[4]),
        limits: vidit_media::ReadLimits::default(),
    };
    let t = std::time::Instant::now();
    let out = measure(&plan, &o, &AtomicBool::new(false), &mut |_| {}).unwrap().unwrap();
    println!("{}", out.results(Mode::Compat).results_json().unwrap());
    eprintln!("{:?} failed {:?}", t.elapsed(), out.failed);
}
