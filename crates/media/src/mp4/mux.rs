use std::io::Write;

use mp4_atom::{
    Atom, Avc1, Avcc, AvccExt, Codec, Colr, Dinf, Dref, DrefEntry, Encode, FourCC, Ftyp, Hdlr, Header, Ilst,
    IlstData, IlstDataValue, KeyEntry, Keys, Mdat, Mdhd, Mdia, Meta, Minf, Moov, Mvhd, Stbl, Stco, Stsc,
    StscEntry, Stsd, Stss, Stsz, StszSamples, Stts, SttsEntry, Tkhd, Trak, Udta, Url, Visual, Vmhd,
};
use vidit_video::PixelShape;

use crate::h264::Stream;
use crate::{FrameRate, MediaError, Result};

/// Times in the file count at least this finely, as players round less well with coarse clocks.
const TICKS_PER_SECOND_MIN: u32 = 10_000;

/// H.273 code of BT.709 primaries, transfer and matrix.
const BT709: u16 = 1;

/// Writes a clip whose `moov` comes before its `mdat`, so that it plays while it loads.
///
/// `metadata` becomes `keys` and `ilst` under `moov/udta/meta` with handler `mdta`, values as UTF-8.
pub(crate) fn write(
    out: &mut dyn Write,
    stream: &Stream,
    shape: PixelShape,
    rate: FrameRate,
    metadata: &[(String, String)],
) -> Result<()> {
    let failed = |e: mp4_atom::Error| MediaError::encode("mp4", e);
    let ftyp = Ftyp {
        major_brand: FourCC::new(b"isom"),
        minor_version: 512,
        compatible_brands: [b"isom", b"iso2", b"avc1", b"mp41"].map(FourCC::new).to_vec(),
    };
    let mut head = Vec::new();
    ftyp.encode(&mut head).map_err(failed)?;
    // The offset of the samples depends on the size of `moov`, which does not depend on the offset's value.
    let ftyp_bytes = head.len();
    let mut moov = movie(stream, shape, rate, metadata)?;
    moov.encode(&mut head).map_err(failed)?;
    let media_bytes: usize = stream.samples.iter().map(|sample| sample.data.len()).sum();
    let mdat = Header { kind: Mdat::KIND, size: Some(media_bytes) };
    let mut mdat_bytes = Vec::new();
    mdat.encode(&mut mdat_bytes).map_err(failed)?;
    let offset = u32::try_from(head.len() + mdat_bytes.len() + media_bytes)
        .map(|end| end - media_bytes as u32)
        .map_err(|_| MediaError::encode("mp4", "the clip is larger than 4 GiB"))?;
    moov.trak[0].mdia.minf.stbl.stco = Some(Stco { entries: vec![offset] });
    head.truncate(ftyp_bytes);
    moov.encode(&mut head).map_err(failed)?;
    head.extend(mdat_bytes);

    let failed = |e| MediaError::encode("mp4", e);
    out.write_all(&head).map_err(failed)?;
    stream.samples.iter().try_for_each(|sample| out.write_all(&sample.data)).map_err(failed)
}

fn movie(stream: &Stream, shape: PixelShape, rate: FrameRate, metadata: &[(String, String)]) -> Result<Moov> {
    // One clock for movie and track, a multiple of the frame rate: all durations are exact.
    let finer = TICKS_PER_SECOND_MIN.div_ceil(rate.numerator());
    let timescale = rate.numerator() * finer;
    let ticks_per_frame = rate.denominator() * finer;
    let duration = u64::from(ticks_per_frame) * stream.samples.len() as u64;
    // `check_size` of the encoder allows no side above 3840.
    let (width, height) = (shape.width as u16, shape.height as u16);
    Ok(Moov {
        mvhd: Mvhd {
            creation_time: 0, // the same clip makes the same bytes
            modification_time: 0,
            timescale,
            duration,
            rate: 1.into(),
            volume: 1.into(),
            matrix: Default::default(),
            next_track_id: 2,
        },
        trak: vec![Trak {
            tkhd: Tkhd {
                track_id: 1,
                duration,
                enabled: true,
                in_movie: true,
                width: width.into(),
                height: height.into(),
                ..Default::default()
            },
            mdia: Mdia {
                mdhd: Mdhd { timescale, duration, language: "und".to_owned(), ..Default::default() },
                hdlr: Hdlr { handler: FourCC::new(b"vide"), name: "VideoHandler".to_owned() },
                minf: Minf {
                    vmhd: Some(Vmhd::default()),
                    dinf: Dinf { dref: Dref { entries: vec![DrefEntry::Url(Url::default())] } },
                    stbl: sample_table(stream, width, height, ticks_per_frame)?,
                    ..Default::default()
                },
            },
            ..Default::default()
        }],
        udta: user_data(metadata),
        ..Default::default()
    })
}

/// One chunk holds all samples. Decoding order is display order, so there is neither `ctts` nor an edit list.
fn sample_table(stream: &Stream, width: u16, height: u16, ticks_per_frame: u32) -> Result<Stbl> {
    let count = stream.samples.len() as u32;
    let mut avcc = Avcc::new(&stream.sps, &stream.pps).map_err(|e| MediaError::encode("mp4", e))?;
    // ISO/IEC 14496-15, 5.3.3.1: High profiles repeat the chroma format and the bit depths.
    avcc.ext = Some(AvccExt::default());
    let avc1 = Avc1 {
        visual: Visual { data_reference_index: 1, width, height, ..Default::default() },
        avcc,
        colr: Some(Colr::Nclx {
            colour_primaries: BT709,
            transfer_characteristics: BT709,
            matrix_coefficients: BT709,
            full_range_flag: false,
        }),
        ..Default::default()
    };
    let keys =
        stream.samples.iter().zip(1..).filter(|(sample, _)| sample.key.is_some()).map(|(_, number)| number);
    Ok(Stbl {
        stsd: Stsd { codecs: vec![Codec::Avc1(avc1)] },
        stts: Stts { entries: vec![SttsEntry { sample_count: count, sample_delta: ticks_per_frame }] },
        stss: Some(Stss { entries: keys.collect() }),
        stsc: Stsc {
            entries: vec![StscEntry {
                first_chunk: 1,
                samples_per_chunk: count,
                sample_description_index: 1,
            }],
        },
        stsz: Stsz {
            samples: StszSamples::Different {
                sizes: stream.samples.iter().map(|sample| sample.data.len() as u32).collect(),
            },
        },
        stco: Some(Stco { entries: vec![0] }),
        ..Default::default()
    })
}

fn user_data(metadata: &[(String, String)]) -> Option<Udta> {
    if metadata.is_empty() {
        return None;
    }
    let mdta = FourCC::new(b"mdta");
    let entries =
        metadata.iter().map(|(key, _)| KeyEntry { key_namespace: mdta, key_value: key.clone() }).collect();
    let values = metadata.iter().zip(1..).map(|((_, value), index)| {
        let value = IlstDataValue::Utf8(value.clone());
        (index, IlstData { country_indicator: 0, language_indicator: 0, value })
    });
    let meta = Meta {
        hdlr: Hdlr { handler: mdta, name: String::new() },
        items: vec![Keys { entries }.into(), Ilst { mdta: values.collect(), ..Default::default() }.into()],
    };
    Some(Udta { meta: Some(meta), ..Default::default() })
}
