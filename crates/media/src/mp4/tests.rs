use mp4_atom::{Any, Codec, Colr, Decode, IlstDataValue, Moov};
use vidit_video::{Frames, PixelShape};

use super::mux;
use crate::fixtures::{gradient, psnr, read_back};
use crate::sps::{Sps, VuiColour};
use crate::{FrameRate, MediaError, ReadLimits, h264, read};

fn encode(frames: &Frames, rate: FrameRate, metadata: &[(String, String)]) -> Vec<u8> {
    let stream = h264::encode(frames, rate, &[]).unwrap();
    let mut file = Vec::new();
    mux::write(&mut file, &stream, frames.shape(), rate, metadata).unwrap();
    file
}

/// Top-level boxes, decoded by mp4-atom and not by our own reader.
fn boxes(file: &[u8]) -> Vec<Any> {
    let mut rest = file;
    let mut boxes = Vec::new();
    while !rest.is_empty() {
        boxes.push(Any::decode(&mut rest).unwrap());
    }
    boxes
}

fn moov(file: &[u8]) -> Moov {
    let found = boxes(file).into_iter().find_map(|b| if let Any::Moov(moov) = b { Some(moov) } else { None });
    found.unwrap()
}

#[test]
fn a_moving_gradient_survives_a_round_trip() {
    // Smooth in all channels, so that half the chroma resolution costs little.
    const PSNR_MIN: f64 = 38.0;
    for (shape, rate) in [
        (PixelShape::new(25, 128, 128), FrameRate::from(24)),
        (PixelShape::new(7, 96, 160), FrameRate::new(30000, 1001)),
        // Neither a multiple of 16: the decoder has to crop.
        (PixelShape::new(5, 100, 134), FrameRate::from(8)),
        (PixelShape::new(1, 16, 16), FrameRate::from(1)),
        (PixelShape::new(3, 64, 64), FrameRate::from(120)),
    ] {
        let frames = gradient(shape);
        let clip = read_back("a.mp4", &encode(&frames, rate, &[]));
        assert_eq!(clip.frames.shape(), shape);
        assert_eq!(clip.fps, rate.hz());
        assert_eq!(FrameRate::nearest(clip.fps), rate);
        let quality = psnr(&clip.frames, &frames);
        assert!(quality > PSNR_MIN, "{shape}: {quality}");
    }
}

#[test]
fn no_frame_is_dropped_or_repeated() {
    // Hard cuts and still stretches tempt encoders to skip; the grey level tells which frame came back.
    let shape = PixelShape::new(60, 64, 64);
    let level = |index: usize| (index / 3 * 73 % 220 + 16) as u8;
    let mut frames = Frames::black(shape);
    (0..60).for_each(|index| frames.frame_mut(index).fill(level(index)));
    let clip = read_back("a.mp4", &encode(&frames, 24.into(), &[]));
    for index in 0..60 {
        let found = clip.frames.frame(index)[64 * 32 * 3 + 96];
        assert!(found.abs_diff(level(index)) <= 4, "frame {index}: {found} instead of {}", level(index));
    }
}

#[test]
fn pure_noise_is_written_too() {
    // What an untrained network makes. The encoder gives up on it at its finest setting.
    let shape = PixelShape::new(3, 256, 256);
    let mut frames = Frames::black(shape);
    let mut seed = 1u32;
    for byte in frames.rgb_mut() {
        seed = seed.wrapping_mul(1664525).wrapping_add(1013904223);
        *byte = (seed >> 24) as u8;
    }
    assert!(
        h264::encode_at(&frames, 24.into(), h264::QUANTISERS[0], &[]).is_err(),
        "no fallback is needed any more"
    );
    let clip = read_back("a.mp4", &encode(&frames, 24.into(), &[]));
    assert_eq!(clip.frames.shape(), shape);
}

#[test]
fn players_find_what_they_need() {
    let frames = gradient(PixelShape::new(50, 64, 96));
    let file = encode(&frames, 24.into(), &[]);
    let kinds: Vec<_> = boxes(&file).iter().map(|b| b.kind().to_string()).collect();
    assert_eq!(kinds, ["ftyp", "moov", "mdat"]);

    let moov = moov(&file);
    assert!(moov.udta.is_none());
    assert_eq!(moov.mvhd.duration * 24, u64::from(moov.mvhd.timescale) * 50);
    assert_eq!(moov.trak[0].tkhd.duration, moov.mvhd.duration);
    assert_eq!((moov.trak[0].tkhd.width.integer(), moov.trak[0].tkhd.height.integer()), (96, 64));
    let stbl = &moov.trak[0].mdia.minf.stbl;
    assert_eq!(stbl.stss.as_ref().unwrap().entries, [1, 49]);
    let Codec::Avc1(avc1) = &stbl.stsd.codecs[0] else { panic!("no avc1") };
    assert_eq!(avc1.avcc.avc_profile_indication, 100);
    assert_eq!((avc1.avcc.length_size, avc1.avcc.configuration_version), (4, 1));
    let nclx = Colr::Nclx {
        colour_primaries: 1,
        transfer_characteristics: 1,
        matrix_coefficients: 1,
        full_range_flag: false,
    };
    assert_eq!(avc1.colr, Some(nclx));

    let sps = Sps::parse(&avc1.avcc.sequence_parameter_sets[0]).unwrap();
    assert_eq!((sps.profile_idc, sps.chroma_format_idc, sps.bit_depth), (100, 1, 8));
    assert_eq!((sps.width, sps.height), (96, 64));
    assert!(sps.level_idc <= 40, "{}", sps.level_idc);
    assert_eq!(sps.colour, Some(VuiColour { full_range: false, description: Some([1, 1, 1]) }));
}

#[test]
fn the_same_clip_makes_the_same_bytes() {
    let frames = gradient(PixelShape::new(9, 64, 64));
    assert_eq!(encode(&frames, 24.into(), &[]), encode(&frames, 24.into(), &[]));
}

#[test]
fn metadata_lies_where_tools_look_for_it() {
    let metadata = [("AIGC", r#"{"Label":"1"}"#), ("prompt", "ein rotes Auto, 红色的汽车")];
    let metadata = metadata.map(|(key, value)| (key.to_owned(), value.to_owned()));
    let frames = gradient(PixelShape::new(2, 32, 32));
    let file = encode(&frames, 24.into(), &metadata);
    let meta = moov(&file).udta.unwrap().meta.unwrap();
    assert_eq!(meta.hdlr.handler.as_ref(), b"mdta");
    let [Any::Keys(keys), Any::Ilst(ilst)] = &meta.items[..] else { panic!("{:?}", meta.items) };
    for (index, (key, value)) in metadata.iter().enumerate() {
        assert_eq!(&keys.entries[index].key_value, key);
        assert_eq!(ilst.mdta[index].0, index as u32 + 1);
        assert_eq!(ilst.mdta[index].1.value, IlstDataValue::Utf8(value.clone()));
    }
    // Version and flags of `meta` are there, and `hdlr` is 33 bytes with its empty name.
    let at = file.windows(4).position(|w| w == b"meta").unwrap();
    assert_eq!(file[at + 4..at + 12], [0, 0, 0, 0, 0, 0, 0, 33]);
    assert_eq!(read_back("a.mp4", &file).frames.shape(), frames.shape());
}

/// Reads damaged bytes; whatever comes back must come back without a panic.
fn read_damaged(path: &std::path::Path, file: &[u8]) -> crate::Result<crate::Clip> {
    let limits = ReadLimits { side_max: 256, pixels_max: 1 << 20, frames_max: 64, ..Default::default() };
    std::fs::write(path, file).unwrap();
    read::read_with(path, &limits, "vidit-no-such-program")
}

#[test]
fn cut_files_are_errors() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.mp4");
    let file = encode(&gradient(PixelShape::new(6, 48, 48)), 24.into(), &[]);
    for length in (0..file.len()).step_by(7) {
        let error = read_damaged(&path, &file[..length]).unwrap_err();
        assert!(error.to_string().contains("hint:"), "{error}");
    }
    let empty = read_damaged(&path, &[]).unwrap_err();
    assert!(matches!(empty, MediaError::Corrupt { .. }) && empty.to_string().contains("empty"), "{empty}");
}

#[test]
fn flipped_bytes_never_panic() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.mp4");
    let file = encode(&gradient(PixelShape::new(6, 48, 48)), 24.into(), &[]);
    let media = file.windows(4).position(|w| w == b"mdat").unwrap();
    let mut seed = 7u64;
    let mut next = |below: usize| {
        seed = seed.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (seed >> 33) as usize % below
    };
    for round in 0..FUZZ_ROUNDS {
        let mut damaged = file.clone();
        // Headers are small and matter most: two of three rounds damage only them.
        let below = if round % 3 == 0 { file.len() } else { media };
        for _ in 0..1 + next(4) {
            let at = next(below);
            damaged[at] = [0, 0xff, 0x7f, 0x80, next(256) as u8][next(5)];
        }
        let _ = read_damaged(&path, &damaged);
    }
    // Every byte of the headers once.
    for at in 0..media {
        let mut damaged = file.clone();
        damaged[at] ^= 0xff;
        let _ = read_damaged(&path, &damaged);
    }
}

/// Enough to meet every box; a longer run found nothing more.
const FUZZ_ROUNDS: usize = 600;
