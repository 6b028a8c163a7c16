//! What is not built in: the `ffmpeg` program decodes it into a pipe.

use std::ffi::OsString;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::thread::JoinHandle;

use vidit_video::{Frames, PixelShape};

use crate::read::Clip;
use crate::{MediaError, ReadLimits, Result};

/// Name of the program, looked up on `PATH`.
pub(crate) const PROGRAM: &str = "ffmpeg";

/// Containers that may be opened. Playlists and scripts are missing on purpose: they name other files and addresses.
const CONTAINERS: &str = "mov,matroska,webm,avi,mpegts,mpeg,mpegvideo,flv,ogg,asf,mxf,nut,ivf,dv,3gp,h264,hevc,obu,\
                          yuv4mpegpipe,gif,apng,webp_pipe,png_pipe,jpeg_pipe,bmp_pipe,tiff_pipe,rm,wtv";

/// Longest line of a YUV4MPEG2 header that we accept, in bytes.
const HEADER_BYTES_MAX: u64 = 1024;

/// What is kept of the program's complaints, in bytes.
const COMPLAINT_BYTES_MAX: u64 = 64 << 10;

/// Decodes the first video track of `path`. `what` is the container or codec that is not built in.
///
/// # Errors
/// `Unsupported` if the program is not there, `Ffmpeg` with its last words if it fails, `Limit`.
pub(crate) fn read(path: &Path, limits: &ReadLimits, program: &str, what: String) -> Result<Clip> {
    let asked = Asked { path, program, what };
    let header = asked.header(Scaling::Smooth)?;
    limits.check_clip(path, 1, header.width, header.height)?;
    let mut run = asked.start_rgb(limits, Scaling::Smooth)?;
    let mut rgb = Vec::new();
    let frame_bytes = header.width * header.height * 3;
    let mut count = 0;
    loop {
        let start = rgb.len();
        let read = (&mut run.out).take(frame_bytes as u64).read_to_end(&mut rgb);
        read.map_err(|e| MediaError::reading(path, e))?;
        match rgb.len() - start {
            0 => break,
            bytes if bytes < frame_bytes => return Err(asked.failed("the last frame is cut off".to_owned())),
            _ => count += 1,
        }
        limits.check_clip(path, count, header.width, header.height)?;
    }
    let complaint = run.finish().map_err(|e| MediaError::reading(path, e))?;
    if let Some(complaint) = complaint {
        return Err(asked.failed(complaint));
    }
    if count == 0 {
        return Err(asked.failed("it found no frames".to_owned()));
    }
    let shape = PixelShape::new(count, header.height, header.width);
    Ok(Clip { frames: Frames::from_rgb(shape, rgb), fps: header.fps })
}

/// How the program turns planes into RGB.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Scaling {
    /// Chroma as our own decoder interpolates it; the defaults round down and repeat it.
    Smooth,
    /// As OpenCV and decord call the same library.
    Default(Rules),
}

impl Scaling {
    fn input_options(self) -> &'static [&'static str] {
        if self == Self::Default(Rules::Ignored) { &["-noautorotate"] } else { &[] }
    }

    fn output_options(self) -> &'static [&'static str] {
        // Without `setpts`, a track that starts late would begin with copies of its first frame.
        match self {
            Self::Smooth => {
                &["-sws_flags", "bilinear+accurate_rnd+full_chroma_int", "-vf", "setpts=PTS-STARTPTS"]
            }
            Self::Default(Rules::Honoured) => {
                &["-fps_mode", "passthrough", "-vf", "setpts=PTS-STARTPTS,scale=flags=bicubic"]
            }
            Self::Default(Rules::Ignored) => &[
                "-fps_mode",
                "passthrough",
                "-vf",
                "setpts=PTS-STARTPTS,scale=flags=bicubic:in_color_matrix=bt601",
            ],
        }
    }
}

/// What `ffmpeg` shall do with what a file says of its matrix and its turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rules {
    /// Follow it; BT.601 if the file names no matrix.
    Honoured,
    /// BT.601 and no turn.
    Ignored,
}

/// A video that the `ffmpeg` program decodes, one frame after the other.
pub struct ForeignVideo {
    path: PathBuf,
    what: String,
    limits: ReadLimits,
    header: Header,
    run: Option<Run>,
    frames: usize,
}

impl ForeignVideo {
    /// Starts the program that is found on `PATH`. `what` is the container or codec that is not built in.
    ///
    /// Of `limits`, `pixels_max` holds for each frame, not for all together.
    ///
    /// # Errors
    /// `Unsupported` if the program is not there, `Ffmpeg` with its last words if it fails, `Limit`.
    pub fn open(path: &Path, limits: &ReadLimits, what: String, rules: Rules) -> Result<Self> {
        Self::open_with(path, limits, what, rules, PROGRAM)
    }

    fn open_with(
        path: &Path,
        limits: &ReadLimits,
        what: String,
        rules: Rules,
        program: &str,
    ) -> Result<Self> {
        let asked = Asked { path, program, what };
        let header = asked.header(Scaling::Default(rules))?;
        limits.check_clip(path, 1, header.width, header.height)?;
        let limits = ReadLimits { pixels_max: u64::MAX, ..*limits };
        let run = Some(asked.start_rgb(&limits, Scaling::Default(rules))?);
        Ok(Self { path: path.to_owned(), what: asked.what, limits, header, run, frames: 0 })
    }

    /// Width and height after all turns.
    pub fn size(&self) -> (usize, usize) {
        (self.header.width, self.header.height)
    }

    /// Mean frames per second.
    pub fn fps(&self) -> f64 {
        self.header.fps
    }

    /// More than 8 bits a sample: other versions of the library round such frames to other bytes.
    pub fn is_deep(&self) -> bool {
        self.header.deep
    }

    /// Puts the next frame, `[H, W, 3]`, into `rgb`; false at the end.
    ///
    /// # Errors
    /// `Ffmpeg` if the program fails or finds no frames, `Limit`.
    pub fn read(&mut self, rgb: &mut Vec<u8>) -> Result<bool> {
        let asked = Asked { path: &self.path, program: PROGRAM, what: self.what.clone() };
        let Some(run) = &mut self.run else { return Ok(false) };
        let bytes = self.header.width * self.header.height * 3;
        rgb.clear();
        let read = (&mut run.out).take(bytes as u64).read_to_end(rgb);
        read.map_err(|e| MediaError::reading(&self.path, e))?;
        if rgb.len() == bytes {
            self.frames += 1;
            self.limits.check_clip(&self.path, self.frames, self.header.width, self.header.height)?;
            return Ok(true);
        }
        let complaint = self.run.take().map(Run::finish).transpose();
        match complaint.map_err(|e| MediaError::reading(&self.path, e))?.flatten() {
            Some(complaint) => Err(asked.failed(complaint)),
            None if !rgb.is_empty() => Err(asked.failed("the last frame is cut off".to_owned())),
            None if self.frames == 0 => Err(asked.failed("it found no frames".to_owned())),
            None => Ok(false),
        }
    }
}

struct Asked<'a> {
    path: &'a Path,
    program: &'a str,
    what: String,
}

impl Asked<'_> {
    fn failed(&self, detail: String) -> MediaError {
        MediaError::Ffmpeg { path: self.path.to_path_buf(), what: self.what.clone(), detail }
    }

    /// Size and rate after all turns, which raw frames do not tell: one frame as YUV4MPEG2, of which the first line.
    fn header(&self, scaling: Scaling) -> Result<Header> {
        let mut output = vec![
            ["-frames:v".into(), "1".into()],
            ["-f".into(), "yuv4mpegpipe".into()],
            // Formats beyond the first standard.
            ["-strict".into(), "-1".into()],
        ];
        if scaling == Scaling::Smooth {
            output.push(["-pix_fmt".into(), "yuv444p".into()]);
        }
        let mut run = self.start(&output, scaling)?;
        let mut line = Vec::new();
        let mut out = BufReader::new(&mut run.out);
        (&mut out)
            .take(HEADER_BYTES_MAX)
            .read_until(b'\n', &mut line)
            .and_then(|_| io::copy(&mut out, &mut io::sink()))
            .map_err(|e| MediaError::reading(self.path, e))?;
        let complaint = run.finish().map_err(|e| MediaError::reading(self.path, e))?;
        Header::parse(&String::from_utf8_lossy(&line))
            .ok_or_else(|| self.failed(complaint.unwrap_or_else(|| "it found no frames".to_owned())))
    }

    fn start_rgb(&self, limits: &ReadLimits, scaling: Scaling) -> Result<Run> {
        let output = [
            // One more than allowed, so that a longer clip is seen to be longer.
            ["-frames:v".into(), (limits.frames_max as u64 + 1).to_string()],
            ["-pix_fmt".into(), "rgb24".into()],
            ["-f".into(), "rawvideo".into()],
        ];
        self.start(&output, scaling)
    }

    fn start(&self, output: &[[String; 2]], scaling: Scaling) -> Result<Run> {
        // Says that it is a file, or `concat:…` in a name would be a command.
        let mut input = OsString::from("file:");
        input.push(self.path);
        let child = Command::new(self.program)
            .args(["-v", "error", "-nostdin", "-xerror", "-err_detect", "explode"])
            .args(["-protocol_whitelist", "file", "-format_whitelist", CONTAINERS])
            .args(scaling.input_options())
            .arg("-i")
            .arg(input)
            .args(["-map", "0:v:0"])
            .args(scaling.output_options())
            .args(output.as_flattened())
            .arg("pipe:1")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn();
        let mut child = child.map_err(|e| match e.kind() {
            io::ErrorKind::NotFound => MediaError::unsupported(self.path, self.what.clone()),
            _ => self.failed(format!("it does not start ({e})")),
        })?;
        let streams = child.stdout.take().zip(child.stderr.take());
        let (out, complaints) = streams.expect("both streams were asked for");
        // Read beside the frames, or a talkative program would wait for us while we wait for it.
        let complaints = std::thread::spawn(move || {
            let mut text = Vec::new();
            let mut complaints = BufReader::new(complaints);
            let _ = (&mut complaints).take(COMPLAINT_BYTES_MAX).read_to_end(&mut text);
            let _ = io::copy(&mut complaints, &mut io::sink());
            String::from_utf8_lossy(&text).into_owned()
        });
        Ok(Run { child, out, complaints: Some(complaints) })
    }
}

/// A running program that does not outlive its reader.
struct Run {
    child: Child,
    out: ChildStdout,
    complaints: Option<JoinHandle<String>>,
}

impl Run {
    /// Waits for the end. The last complaint if the program failed.
    fn finish(mut self) -> io::Result<Option<String>> {
        let status = self.child.wait()?;
        let complaints = self.complaints.take().and_then(|thread| thread.join().ok()).unwrap_or_default();
        let last = complaints.lines().rev().find(|line| !line.trim().is_empty());
        Ok(match last {
            _ if status.success() => None,
            Some(line) => Some(line.trim().to_owned()),
            None => Some(format!("it ended with {status}")),
        })
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        // Harmless after `finish`; otherwise nobody reads any more.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The first line of YUV4MPEG2: `YUV4MPEG2 W640 H360 F25:1 …`.
#[derive(Debug, PartialEq)]
struct Header {
    width: usize,
    height: usize,
    fps: f64,
    /// More than 8 bits a sample.
    deep: bool,
}

impl Header {
    fn parse(line: &str) -> Option<Self> {
        let fields = line.strip_prefix("YUV4MPEG2 ")?;
        let field = |tag: char| fields.split_whitespace().find_map(|field| field.strip_prefix(tag));
        let (numerator, denominator) = field('F')?.split_once(':')?;
        let fps = numerator.parse::<f64>().ok()? / denominator.parse::<f64>().ok()?;
        let width = field('W')?.parse().ok().filter(|&side| side > 0)?;
        let height = field('H')?.parse().ok().filter(|&side| side > 0)?;
        // `C420p10`; but `C420paldv`.
        let depth = field('C').and_then(|format| format.rsplit_once('p')).map_or("", |(_, depth)| depth);
        let deep = depth.parse::<u32>().is_ok_and(|bits| bits > 8);
        (fps.is_finite() && fps > 0.0).then_some(Self { width, height, fps, deep })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_read_or_refused() {
        let header = Header::parse("YUV4MPEG2 W832 H480 F30000:1001 Ip A1:1 C444 XYSCSS=444\n").unwrap();
        assert_eq!((header.width, header.height), (832, 480));
        assert_eq!((header.fps, header.deep), (30000.0 / 1001.0, false));
        let deep = |format| Header::parse(&format!("YUV4MPEG2 W8 H8 F1:1 C{format}")).unwrap().deep;
        assert_eq!(["420p10", "420paldv", "420jpeg"].map(deep), [true, false, false]);
        for bad in
            ["", "YUV4MPEG2 W8 H8", "YUV4MPEG2 W0 H8 F1:1", "YUV4MPEG2 W8 H8 F1:0", "YUV4MPEG2 W8 H-8 F1:1"]
        {
            assert_eq!(Header::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn without_the_program_the_error_says_what_to_install() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.webm");
        std::fs::write(&path, b"\x1a\x45\xdf\xa3 and so on").unwrap();
        let error =
            crate::read::read_with(&path, &ReadLimits::default(), "vidit-no-such-program").unwrap_err();
        let text = error.to_string();
        assert!(text.contains("Matroska or WebM") && text.contains("install `ffmpeg`"), "{text}");
    }
}
