//! What a GIF says beside its colours: how long its pictures are shown, and whether something shows through them.

use std::fs::File;
use std::io::{BufReader, Read, Seek};
use std::path::Path;

use gif::{ColorOutput, DecodeOptions, DisposalMethod};
use vidit_media::ReadLimits;

/// GIF counts time in hundredths of a second.
const TICKS_PER_SECOND: f64 = 100.0;
/// A shorter delay is taken for this one by ffmpeg, and so by OpenCV: it was not meant.
const DELAY_MIN: u16 = 2;
const DELAY_DEFAULT: u16 = 10;

/// What is known of a GIF.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct GifFacts {
    /// Mean pictures a second; `None` of a single picture.
    pub fps: Option<f64>,
    /// Every pixel of every picture has a colour.
    pub opaque: bool,
}

/// Reads a GIF to its end; `None` if the file is none. One that is damaged, or beyond the limits, is not known to be opaque: whoever reads
/// its colours says what is wrong with it.
pub(crate) fn gif_facts(path: &Path, limits: &ReadLimits) -> Option<GifFacts> {
    let mut file = BufReader::new(File::open(path).ok()?);
    let mut magic = [0; 4];
    file.read_exact(&mut magic).ok().filter(|()| magic == *b"GIF8")?;
    file.rewind().ok()?;
    Some(facts(file, limits).unwrap_or(GifFacts { fps: None, opaque: false }))
}

/// `None` if it is damaged or beyond the limits.
fn facts(file: impl Read, limits: &ReadLimits) -> Option<GifFacts> {
    let mut options = DecodeOptions::new();
    options.set_color_output(ColorOutput::Indexed);
    let mut decoder = options.read_info(file).ok()?;
    let (width, height) = (usize::from(decoder.width()), usize::from(decoder.height()));
    let (mut canvas, mut opaque) = (vec![false; width * height], true);
    let (mut pictures, mut ticks) = (0, 0);
    while let Some(picture) = decoder.read_next_frame().ok()? {
        pictures += 1;
        if pictures > limits.frames_max {
            return None;
        }
        ticks += u64::from(if picture.delay < DELAY_MIN { DELAY_DEFAULT } else { picture.delay });
        let former = (picture.dispose == DisposalMethod::Previous).then(|| canvas.clone());
        let row_length = usize::from(picture.width);
        let (top, left) = (usize::from(picture.top), usize::from(picture.left));
        let places = |index: usize| {
            let (y, x) = (top + index / row_length, left + index % row_length);
            (y < height && x < width).then_some(y * width + x)
        };
        for (index, colour) in picture.buffer.iter().enumerate() {
            if let Some(place) = places(index).filter(|_| picture.transparent != Some(*colour)) {
                canvas[place] = true;
            }
        }
        opaque &= canvas.iter().all(|covered| *covered);
        match (picture.dispose, former) {
            (_, Some(former)) => canvas = former,
            (DisposalMethod::Background, _) => {
                (0..picture.buffer.len()).filter_map(places).for_each(|place| canvas[place] = false);
            }
            _ => {}
        }
    }
    let fps = (pictures > 1).then(|| TICKS_PER_SECOND * pictures as f64 / ticks as f64);
    Some(GifFacts { fps, opaque })
}

#[cfg(test)]
mod tests {
    use gif::{Encoder, Frame};

    use super::*;
    use crate::golden;

    /// A GIF of 2 x 1 pixels: of each picture its delay, what becomes of it, and its colours; the third one shows through.
    fn facts_of(pictures: &[(u16, DisposalMethod, [u8; 2])]) -> Option<GifFacts> {
        let mut bytes = Vec::new();
        let mut encoder = Encoder::new(&mut bytes, 2, 1, &[0, 0, 0, 255, 255, 255, 9, 9, 9]).unwrap();
        for (delay, dispose, colours) in pictures {
            let buffer = colours.to_vec().into();
            let (delay, dispose, transparent) = (*delay, *dispose, Some(2));
            let frame =
                Frame { width: 2, height: 1, delay, dispose, transparent, buffer, ..Frame::default() };
            encoder.write_frame(&frame).unwrap();
        }
        drop(encoder);
        facts(&bytes[..], &ReadLimits::default())
    }

    #[test]
    fn rates_are_means_and_short_delays_are_a_tenth() {
        let rate = |delays: &[u16]| {
            let pictures: Vec<_> =
                delays.iter().map(|delay| (*delay, DisposalMethod::Keep, [0, 1])).collect();
            facts_of(&pictures).unwrap().fps
        };
        // OpenCV's of even delays.
        assert_eq!(
            [8, 3, 100, 1, 0].map(|delay| rate(&[delay; 4])),
            [12.5, 100.0 / 3.0, 1.0, 10.0, 10.0].map(Some)
        );
        assert_eq!((rate(&[8, 16, 8]), rate(&[8])), (Some(9.375), None));
        let found = gif_facts(&golden::path("earth.gif"), &ReadLimits::default());
        assert_eq!(found, Some(GifFacts { fps: Some(9.375), opaque: true }));
        assert_eq!(gif_facts(&golden::path("earth.mp4"), &ReadLimits::default()), None);
    }

    #[test]
    fn a_picture_shows_through_where_nothing_was_drawn() {
        use DisposalMethod::{Background, Keep, Previous};
        let opaque = |pictures: &[_]| facts_of(pictures).unwrap().opaque;
        assert!(
            opaque(&[(8, Keep, [0, 1]), (8, Keep, [2, 0])]),
            "what did not change shows the former picture"
        );
        assert!(!opaque(&[(8, Keep, [0, 2]), (8, Keep, [2, 0])]));
        assert!(!opaque(&[(8, Background, [0, 1]), (8, Keep, [2, 0])]));
        assert!(opaque(&[(8, Background, [0, 1]), (8, Keep, [1, 0])]));
        assert!(opaque(&[(8, Keep, [0, 1]), (8, Previous, [2, 0]), (8, Keep, [2, 2])]));
        let few = ReadLimits { frames_max: 2, ..ReadLimits::default() };
        let found = gif_facts(&golden::path("earth.gif"), &few);
        assert_eq!(found, Some(GifFacts { fps: None, opaque: false }));
    }
}
