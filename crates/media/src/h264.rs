//! H.264 through openh264: High profile, 4:2:0, 8 bit, BT.709.

use std::ops::Range;
use std::path::Path;

use openh264::OpenH264API;
use openh264::decoder::{DecodedYUV, Decoder, DecoderConfig, Flush};
use openh264::encoder::{
    BitRate, Complexity, Encoder, EncoderConfig, FrameRate as EncoderRate, IntraFramePeriod, Profile,
    QpRange, RateControlMode, SpsPpsStrategy, UsageType, VuiConfig,
};
use openh264::formats::{YUVSlices, YUVSource};
use vidit_video::{Frames, PixelShape};

use crate::coded::{self, Coded};
use crate::colour::{ColourSpace, ColourTags, Planes, PlanesRef, rgb_from_planes};
use crate::sps::{Bits, Sps, without_emulation_prevention};
use crate::{FrameRate, MediaError, ReadLimits, Result};

/// Largest sides that openh264 encodes (its level ends at 5.2): long side, short side.
const SIDES_MAX: (usize, usize) = (3840, 2160);

/// Smallest side that openh264 encodes.
const SIDE_MIN: usize = 16;

/// The quantiser of every frame, 0 (finest) to 51; the later ones only for clips on which the encoder gives up at the
/// earlier ones, because a frame outgrows its buffer: noise, as an untrained network paints it.
///
/// Measured at 16: luma 47 to 57 dB, 350 kbit/s at 128x128 and 0.3 to 7.7 Mbit/s at 832x480, 24 frames a second.
pub(crate) const QUANTISERS: [u8; 4] = [16, 24, 32, 40];

/// The encoder wants a number to check against its level; nothing follows from it at a constant quantiser.
const BITS_PER_SECOND: BitRate = BitRate::from_bps(1_000_000);

pub(crate) const NAL_SLICE: u8 = 1;
pub(crate) const NAL_IDR: u8 = 5;
const NAL_SPS: u8 = 7;
const NAL_PPS: u8 = 8;

/// An encoded clip, ready for a container.
pub(crate) struct Stream {
    /// Sequence parameter set: a NAL unit without start code.
    pub(crate) sps: Vec<u8>,
    /// Picture parameter set, likewise.
    pub(crate) pps: Vec<u8>,
    /// One for each frame.
    pub(crate) samples: Vec<Sample>,
}

/// One encoded frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Sample {
    /// NAL units, each behind its length in four bytes, without parameter sets.
    pub(crate) data: Vec<u8>,
    /// Of a key frame, at which decoding may start, its `idr_pic_id`.
    pub(crate) key: Option<u32>,
}

impl Sample {
    /// Whether a decoder may take `next` for a part of this frame: key frames are told apart by their numbers alone.
    pub(crate) fn is_taken_for(&self, next: &Self) -> bool {
        self.key.is_some() && self.key == next.key
    }
}

/// Whether the encoder takes frames of this size.
pub(crate) fn check_size(width: usize, height: usize) -> Result<()> {
    let unwritable = |problem: String, hint: &str| {
        Err(MediaError::Unwritable { format: "mp4", problem, hint: hint.to_owned() })
    };
    if !width.is_multiple_of(2) || !height.is_multiple_of(2) {
        return unwritable(
            format!("H.264 4:2:0 needs an even width and height, found `{width}x{height}`"),
            "crop or pad by one pixel, or write .webp, .gif or a folder of frames",
        );
    }
    let (long, short) = (width.max(height), width.min(height));
    if long > SIDES_MAX.0 || short > SIDES_MAX.1 || short < SIDE_MIN {
        return unwritable(
            format!(
                "the encoder takes {SIDE_MIN}x{SIDE_MIN} to {}x{}, found `{width}x{height}`",
                SIDES_MAX.0, SIDES_MAX.1
            ),
            "scale the clip, or write .webp or a folder of frames",
        );
    }
    Ok(())
}

/// Encodes all frames but those that `sources` have. The size must have passed [`check_size`].
pub(crate) fn encode(frames: &Frames, rate: FrameRate, sources: &[Coded]) -> Result<Stream> {
    let [finest, coarser @ ..] = QUANTISERS;
    let first = encode_at(frames, rate, finest, sources);
    coarser
        .into_iter()
        .fold(first, |outcome, quantiser| outcome.or_else(|_| encode_at(frames, rate, quantiser, sources)))
}

pub(crate) fn encode_at(
    frames: &Frames,
    rate: FrameRate,
    quantiser: u8,
    sources: &[Coded],
) -> Result<Stream> {
    let count = frames.shape().frames;
    if sources.is_empty() {
        return encode_part(frames, 0..count, rate, quantiser, 0);
    }
    // Parameter sets follow from size, rate and quantiser: one frame tells them.
    let Stream { sps, pps, .. } = encode_part(frames, 0..1, rate, quantiser, 0)?;
    let parts = coded::parts(frames, sources, &sps, &pps);
    coded::joined(parts, sps, pps, |part, numbering| {
        Ok(encode_part(frames, part, rate, quantiser, numbering)?.samples)
    })
}

/// A stream of some frames, which begins with a key frame whose number comes so many after that of a first one.
fn encode_part(
    frames: &Frames,
    part: Range<usize>,
    rate: FrameRate,
    quantiser: u8,
    numbering: usize,
) -> Result<Stream> {
    let failed = |e: openh264::Error| MediaError::encode("H.264", e);
    let PixelShape { height, width, .. } = frames.shape();
    let config = encoder_config(rate, quantiser);
    let mut encoder = Encoder::with_api_config(OpenH264API::from_source(), config).map_err(failed)?;
    let mut planes = Planes::new(width, height);
    let mut stream = Stream { sps: Vec::new(), pps: Vec::new(), samples: Vec::with_capacity(part.len()) };
    let dropped = std::iter::repeat_n(part.start, numbering);
    for (time, index) in dropped.chain(part).enumerate() {
        planes.fill_from_rgb(frames.frame(index));
        let source = YUVSlices::new(
            (&planes.y, &planes.cb, &planes.cr),
            (width, height),
            (width, width / 2, width / 2),
        );
        if time > 0 && time <= numbering {
            encoder.force_intra_frame();
        }
        let time = openh264::Timestamp::from_millis(rate.start(time, 1000));
        let encoded = encoder.encode_at(&source, time).map_err(failed)?;
        let mut sample = Sample { data: Vec::new(), key: None };
        for layer in (0..encoded.num_layers()).filter_map(|i| encoded.layer(i)) {
            for nal in (0..layer.nal_count()).filter_map(|i| layer.nal_unit(i)).map(without_start_code) {
                match nal_type(nal) {
                    Some(NAL_SPS) => stream.sps = nal.to_vec(),
                    Some(NAL_PPS) => stream.pps = nal.to_vec(),
                    kind => {
                        if kind == Some(NAL_IDR) {
                            let number = Sps::parse(&stream.sps).and_then(|sps| idr_number(nal, &sps));
                            let malformed = || MediaError::encode("H.264", "a key frame has no number");
                            sample.key = Some(number.ok_or_else(malformed)?);
                        }
                        sample.data.extend((nal.len() as u32).to_be_bytes());
                        sample.data.extend(nal);
                    }
                }
            }
        }
        if sample.data.is_empty() {
            return Err(MediaError::encode("H.264", format!("frame `{index}` came out empty")));
        }
        stream.samples.push(sample);
    }
    stream.samples.drain(..numbering);
    Ok(stream)
}

/// `idr_pic_id` of a slice of a key frame, header byte included (7.3.3). `None` if it is malformed.
pub(crate) fn idr_number(nal: &[u8], sps: &Sps) -> Option<u32> {
    /// More than the numbers before it take.
    const HEAD: usize = 64;
    let payload = without_emulation_prevention(nal.get(1..)?.get(..HEAD).or(nal.get(1..))?);
    let mut bits = Bits::new(&payload);
    bits.ue()?; // first_mb_in_slice
    bits.ue()?; // slice_type
    bits.ue()?; // pic_parameter_set_id
    bits.u(sps.frame_number_bits)?;
    bits.ue()
}

/// Every option by name: the defaults are for video calls (120 kbit/s, dropped frames, no colour description).
fn encoder_config(rate: FrameRate, quantiser: u8) -> EncoderConfig {
    let hz = rate.hz();
    EncoderConfig::new()
        // The encoder knows no better: it refuses `CameraVideoNonRealTime`.
        .usage_type(UsageType::CameraVideoRealTime)
        // With both ends equal this mode is a constant quantiser. `Quality` and `Bitrate` follow a budget, and print
        // a warning to standard error when they may not skip frames; `Off` cannot be told which quantiser.
        .rate_control_mode(RateControlMode::Bufferbased)
        .qp(QpRange::new(quantiser, quantiser))
        .bitrate(BITS_PER_SECOND)
        .skip_frames(false)
        // The encoder knows rates up to 60; beyond, only its bit budget would care.
        .max_frame_rate(EncoderRate::from_hz(hz.clamp(1.0, 60.0) as f32))
        .profile(Profile::High)
        .complexity(Complexity::High)
        // A key frame every two seconds, so that players can seek.
        .intra_frame_period(IntraFramePeriod::from_num_frames((hz * 2.0).ceil() as u32))
        .scene_change_detect(false)
        .adaptive_quantization(false)
        // Codes what it takes for static background coarsely, which shows in flat areas.
        .background_detection(false)
        .long_term_reference(false)
        .sps_pps_strategy(SpsPpsStrategy::ConstantId)
        // One thread: several cut the picture into slices, which costs bits and makes the bytes depend on the machine.
        .num_threads(1)
        .vui(VuiConfig::bt709())
        .debug(false)
}

/// Decodes access units of length-prefixed NAL units, in decoding order, to frames in display order.
///
/// `parameter_sets` are NAL units without start codes. `expected` is the number of access units.
pub(crate) fn decode<'a>(
    path: &Path,
    limits: &ReadLimits,
    parameter_sets: &[Vec<u8>],
    length_bytes: usize,
    samples: impl ExactSizeIterator<Item = &'a [u8]>,
    container_colour: Option<ColourTags>,
) -> Result<Frames> {
    let expected = samples.len();
    let mut units = Units::new(path, limits, parameter_sets, length_bytes, expected)?;
    let space = ColourSpace::from_tags(units.colour(container_colour));
    let (width, height) = units.size();
    let mut collected = Collected { path, space, width, height, rgb: Vec::new(), frames: 0, expected };
    for sample in samples {
        if let Some(picture) = units.decode(path, limits, sample)? {
            collected.push(&picture)?;
        }
    }
    for picture in &units.flush(path)? {
        collected.push(picture)?;
    }
    collected.finish()
}

/// A decoder that takes one access unit after the other.
pub(crate) struct Units {
    decoder: Decoder,
    sps: Sps,
    length_bytes: usize,
    /// Access units in all.
    expected: usize,
    /// Access units so far.
    taken: usize,
    /// What goes to the decoder next: at first the parameter sets.
    unit: Vec<u8>,
}

impl Units {
    /// `parameter_sets` are NAL units without start codes. `expected` is the number of access units.
    pub(crate) fn new(
        path: &Path,
        limits: &ReadLimits,
        parameter_sets: &[Vec<u8>],
        length_bytes: usize,
        expected: usize,
    ) -> Result<Self> {
        let mut unit = Vec::new();
        let mut sps = None;
        for nal in parameter_sets {
            push_nal(path, limits, nal, expected, &mut sps, &mut unit)?;
        }
        let sps = sps.ok_or_else(|| MediaError::corrupt(path, "it has no sequence parameter set"))?;
        // Flushing after each unit, the default, leaks the pool of pictures on streams with B-frames.
        let config = DecoderConfig::new().flush_after_decode(Flush::NoFlush).debug(false);
        let decoder = Decoder::with_api_config(OpenH264API::from_source(), config)
            .map_err(|e| MediaError::unsupported(path, format!("the H.264 decoder ({e})")))?;
        Ok(Self { decoder, sps, length_bytes, expected, taken: 0, unit })
    }

    /// Width and height that are shown.
    pub(crate) fn size(&self) -> (usize, usize) {
        (self.sps.width, self.sps.height)
    }

    /// What the stream says of its colours, or else the container.
    pub(crate) fn colour(&self, container: Option<ColourTags>) -> ColourTags {
        let container = container.unwrap_or_default();
        match self.sps.colour {
            None => container,
            Some(vui) => ColourTags {
                // A description wins over the container's even where it says "unspecified", as in ffmpeg.
                matrix_coefficients: vui.description.map_or(container.matrix_coefficients, |d| d[2]),
                full_range: vui.full_range,
            },
        }
    }

    /// The next picture in display order, if one is ready.
    pub(crate) fn decode(
        &mut self,
        path: &Path,
        limits: &ReadLimits,
        sample: &[u8],
    ) -> Result<Option<DecodedYUV<'_>>> {
        let index = self.taken;
        self.taken += 1;
        let mut found = None;
        for nal in length_prefixed(sample, self.length_bytes) {
            let nal = nal.ok_or_else(|| MediaError::corrupt(path, format!("frame `{index}` is cut off")))?;
            push_nal(path, limits, nal, self.expected, &mut found, &mut self.unit)?;
        }
        if found.is_some_and(|found| (found.width, found.height) != self.size()) {
            return Err(MediaError::unsupported(path, "H.264 video that changes its size"));
        }
        let picture = self.decoder.decode(&self.unit);
        self.unit.clear();
        picture.map_err(|_| MediaError::Undecodable {
            path: path.to_owned(),
            place: format!("at frame `{index}`"),
        })
    }

    /// The pictures that wait for others at the end.
    pub(crate) fn flush(&mut self, path: &Path) -> Result<Vec<DecodedYUV<'_>>> {
        self.decoder
            .flush_remaining()
            .map_err(|_| MediaError::Undecodable { path: path.to_owned(), place: "at its end".to_owned() })
    }
}

/// Appends a NAL unit in the form that the decoder wants, after checking what it will make the decoder allocate.
fn push_nal(
    path: &Path,
    limits: &ReadLimits,
    nal: &[u8],
    frames: usize,
    sps: &mut Option<Sps>,
    unit: &mut Vec<u8>,
) -> Result<()> {
    match nal_type(nal) {
        Some(NAL_SPS) => {
            let parsed = Sps::parse(nal)
                .ok_or_else(|| MediaError::corrupt(path, "its sequence parameter set is malformed"))?;
            check_decodable(path, &parsed)?;
            limits.check_clip(path, frames, parsed.width, parsed.height)?;
            limits.check_clip(path, 1, parsed.coded_width, parsed.coded_height)?;
            *sps = Some(parsed);
        }
        Some(NAL_SLICE | NAL_IDR | NAL_PPS) => {}
        // Access unit delimiters, messages, scalable layers: not needed, and less for a damaged file to break.
        _ => return Ok(()),
    }
    unit.extend([0, 0, 0, 1]);
    unit.extend(nal);
    Ok(())
}

/// What openh264 decodes: 8-bit 4:2:0, progressive.
fn check_decodable(path: &Path, sps: &Sps) -> Result<()> {
    const REFERENCE_FRAMES_MAX: u32 = 16; // H.264, A.3.1
    let unsupported = |what: String| Err(MediaError::unsupported(path, what));
    if sps.reference_frames > REFERENCE_FRAMES_MAX {
        return Err(MediaError::corrupt(path, "its sequence parameter set is malformed"));
    }
    if sps.bit_depth != 8 {
        return unsupported(format!("H.264 with {} bits per sample", sps.bit_depth));
    }
    match sps.chroma_format_idc {
        1 => {}
        0 => return unsupported("monochrome H.264".to_owned()),
        2 => return unsupported("H.264 with 4:2:2 chroma".to_owned()),
        _ => return unsupported("H.264 with 4:4:4 chroma".to_owned()),
    }
    if matches!(sps.profile_idc, 44 | 244) {
        return unsupported("H.264 of the profile High 4:4:4 Predictive".to_owned());
    }
    if !sps.frame_mbs_only {
        return unsupported("interlaced H.264".to_owned());
    }
    Ok(())
}

/// Decoded pictures on their way to [`Frames`].
struct Collected<'a> {
    path: &'a Path,
    space: ColourSpace,
    width: usize,
    height: usize,
    rgb: Vec<u8>,
    frames: usize,
    expected: usize,
}

impl Collected<'_> {
    fn push(&mut self, picture: &impl YUVSource) -> Result<()> {
        let (width, height) = picture.dimensions();
        if (width, height) != (self.width, self.height) || self.frames == self.expected {
            return Err(MediaError::corrupt(self.path, "its pictures do not fit its headers"));
        }
        let (luma_stride, chroma_stride, _) = picture.strides();
        let planes =
            PlanesRef { y: picture.y(), cb: picture.u(), cr: picture.v(), luma_stride, chroma_stride };
        let start = self.rgb.len();
        self.rgb.resize(start + width * height * 3, 0);
        rgb_from_planes(planes, self.space, width, &mut self.rgb[start..]);
        self.frames += 1;
        Ok(())
    }

    fn finish(self) -> Result<Frames> {
        if self.frames != self.expected {
            let what = format!("the H.264 stream (`{}` of `{}` frames came out)", self.frames, self.expected);
            return Err(MediaError::unsupported(self.path, what));
        }
        Ok(Frames::from_rgb(PixelShape::new(self.frames, self.height, self.width), self.rgb))
    }
}

pub(crate) fn nal_type(nal: &[u8]) -> Option<u8> {
    nal.first().map(|header| header & 0x1f)
}

/// An Annex B unit without the 0, 0, 1 before it.
fn without_start_code(nal: &[u8]) -> &[u8] {
    let zeros = nal.iter().take_while(|&&byte| byte == 0).count();
    &nal[(zeros + 1).min(nal.len())..]
}

/// The NAL units of a sample; `None` where one claims more bytes than there are.
pub(crate) fn length_prefixed(mut sample: &[u8], length_bytes: usize) -> impl Iterator<Item = Option<&[u8]>> {
    std::iter::from_fn(move || {
        if sample.is_empty() {
            return None;
        }
        let unit = sample.split_at_checked(length_bytes).and_then(|(length, rest)| {
            let length = length.iter().fold(0usize, |length, &byte| length << 8 | usize::from(byte));
            rest.split_at_checked(length)
        });
        sample = unit.map_or(&[], |(_, rest)| rest);
        Some(unit.map(|(nal, _)| nal))
    })
}
