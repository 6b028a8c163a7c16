//! temporary
use std::time::Instant;
use vidit_media::*;
use vidit_video::*;
fn luma_psnr(a: &Frames, b: &Frames) -> (f64, f64) {
    let mut s = 0.0f64;
    let mut sy = 0.0f64;
    let n = a.shape().pixels() as f64;
    for (p, q) in a.rgb().chunks(3).zip(b.rgb().chunks(3)) {
        let d: [f64; 3] = [0, 1, 2].map(|c| p[c] as f64 - q[c] as f64);
        s += d.iter().map(|x| x * x).sum::<f64>();
        let y = 0.2126 * d[0] + 0.7152 * d[1] + 0.0722 * d[2];
        sy += y * y;
    }
    (10.0 * (65025.0 * 3.0 * n / s).log10(), 10.0 * (65025.0 * n / sy).log10())
}
fn main() {
    let args: Vec<String> = std::env::args().collect();
    if args[1] == "compare" {
        let a = read_video(std::path::Path::new(&args[2]), &ReadLimits::default()).unwrap();
        let b = read_video(std::path::Path::new(&args[3]), &ReadLimits::default()).unwrap();
        println!(
            "{} fps {} | {} fps {} : {:?}",
            a.frames.shape(),
            a.fps,
            b.frames.shape(),
            b.fps,
            (a.frames.shape() == b.frames.shape()).then(|| luma_psnr(&a.frames, &b.frames))
        );
        return;
    }
    let out = std::path::PathBuf::from(&args[2]);
    let c = read_video(std::path::Path::new(&args[1]), &ReadLimits::default()).unwrap();
    let t = Instant::now();
    let w = write_video(
        &c.frames,
        FrameRate::nearest(c.fps),
        &out,
        &WriteOptions { overwrite: true, ..Default::default() },
    )
    .unwrap();
    let e = t.elapsed();
    let t = Instant::now();
    let d = read_video(&out, &ReadLimits::default()).unwrap();
    let r = t.elapsed();
    if d.frames.shape() == c.frames.shape() {
        let (p, y) = luma_psnr(&c.frames, &d.frames);
        println!(
            "{} {} fps {:.3}: {} bytes, {:.0} kbit/s, rgb {p:.2} dB, luma {y:.2} dB, write {:.0} ms, read {:.0} ms",
            out.display(),
            c.frames.shape(),
            d.fps,
            w.bytes,
            w.bytes as f64 * 8.0 / 1000.0 * d.fps / d.frames.shape().frames as f64,
            e.as_secs_f64() * 1e3,
            r.as_secs_f64() * 1e3
        );
    } else {
        println!("{w:?} {:?}", d.frames.shape());
    }
}
