//! The sequence parameter set of H.264: what a stream will cost and how its colours are meant, before decoding it.
//!
//! ITU-T H.264, 7.3.2.1.1 and E.1.1.

/// What we need of a sequence parameter set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Sps {
    pub(crate) profile_idc: u8,
    pub(crate) level_idc: u8,
    /// 1 is 4:2:0.
    pub(crate) chroma_format_idc: u32,
    /// Bits of luma and chroma, the larger.
    pub(crate) bit_depth: u32,
    /// Bits of `frame_num` in slices.
    pub(crate) frame_number_bits: u32,
    /// False for interlaced streams.
    pub(crate) frame_mbs_only: bool,
    pub(crate) reference_frames: u32,
    /// Pixels that are coded, a multiple of 16.
    pub(crate) coded_width: usize,
    pub(crate) coded_height: usize,
    /// Pixels that are shown.
    pub(crate) width: usize,
    pub(crate) height: usize,
    pub(crate) colour: Option<VuiColour>,
}

/// Colour description of the VUI, in the codes of H.273.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct VuiColour {
    pub(crate) full_range: bool,
    /// Primaries, transfer and matrix, if it speaks of them.
    pub(crate) description: Option<[u8; 3]>,
}

impl Sps {
    /// From a NAL unit of type 7, its header byte included. `None` if it is malformed.
    pub(crate) fn parse(nal: &[u8]) -> Option<Self> {
        let payload = without_emulation_prevention(nal.get(1..)?);
        let [profile_idc, _, level_idc] = *payload.first_chunk()?;
        let mut bits = Bits { bytes: &payload, position: 24 };
        bits.ue()?; // seq_parameter_set_id
        let mut chroma_format_idc = 1;
        let mut bit_depth = 8;
        if matches!(profile_idc, 100 | 110 | 122 | 244 | 44 | 83 | 86 | 118 | 128 | 138 | 139 | 134 | 135) {
            chroma_format_idc = bits.ue()?;
            if chroma_format_idc == 3 {
                bits.flag()?; // separate_colour_plane
            }
            bit_depth = 8 + bits.ue()?.max(bits.ue()?);
            bits.flag()?; // qpprime_y_zero_transform_bypass
            if bits.flag()? {
                bits.skip_scaling_lists(if chroma_format_idc == 3 { 12 } else { 8 })?;
            }
        }
        // 7.4.2.1.1: 4 to 16
        let frame_number_bits = bits.ue()?.checked_add(4).filter(|bits| *bits <= 16)?;
        match bits.ue()? {
            0 => {
                bits.ue()?; // log2_max_pic_order_cnt_lsb_minus4
            }
            1 => {
                bits.flag()?; // delta_pic_order_always_zero
                bits.ue()?; // offset_for_non_ref_pic, se
                bits.ue()?; // offset_for_top_to_bottom_field, se
                let cycle = bits.ue()?;
                for _ in 0..cycle.min(255) {
                    bits.ue()?; // offset_for_ref_frame, se
                }
            }
            _ => {}
        }
        let reference_frames = bits.ue()?;
        bits.flag()?; // gaps_in_frame_num_allowed
        let coded_width = usize::try_from(bits.ue()?).ok()?.checked_add(1)?.checked_mul(16)?;
        let map_units = usize::try_from(bits.ue()?).ok()?.checked_add(1)?;
        let frame_mbs_only = bits.flag()?;
        if !frame_mbs_only {
            bits.flag()?; // mb_adaptive_frame_field
        }
        let coded_height = map_units.checked_mul(if frame_mbs_only { 16 } else { 32 })?;
        bits.flag()?; // direct_8x8_inference
        let mut crop = [0usize; 4]; // left, right, top, bottom
        if bits.flag()? {
            for side in &mut crop {
                *side = usize::try_from(bits.ue()?).ok()?;
            }
        }
        // Table 6-1: crop units are chroma samples.
        let unit_x = if matches!(chroma_format_idc, 1 | 2) { 2 } else { 1 };
        let unit_y = if chroma_format_idc == 1 { 2 } else { 1 } * if frame_mbs_only { 1 } else { 2 };
        let shown = |coded: usize, unit: usize, a: usize, b: usize| {
            coded.checked_sub(a.checked_add(b)?.checked_mul(unit)?).filter(|&shown| shown > 0)
        };
        let width = shown(coded_width, unit_x, crop[0], crop[1])?;
        let height = shown(coded_height, unit_y, crop[2], crop[3])?;
        // A stream may end before an optional VUI that it announced; players shrug, and so do we.
        let colour = if bits.flag().unwrap_or(false) { bits.vui_colour().flatten() } else { None };
        Some(Self {
            profile_idc,
            level_idc,
            chroma_format_idc,
            bit_depth,
            frame_number_bits,
            frame_mbs_only,
            reference_frames,
            coded_width,
            coded_height,
            width,
            height,
            colour,
        })
    }
}

/// Removes the 3 of each 0, 0, 3 (7.4.1).
pub(crate) fn without_emulation_prevention(nal: &[u8]) -> Vec<u8> {
    let mut payload = Vec::with_capacity(nal.len());
    let mut zeros = 0;
    for &byte in nal {
        if zeros >= 2 && byte == 3 {
            zeros = 0;
            continue;
        }
        zeros = if byte == 0 { zeros + 1 } else { 0 };
        payload.push(byte);
    }
    payload
}

pub(crate) struct Bits<'a> {
    bytes: &'a [u8],
    position: usize,
}

impl<'a> Bits<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, position: 0 }
    }

    fn flag(&mut self) -> Option<bool> {
        let byte = self.bytes.get(self.position / 8)?;
        let bit = byte >> (7 - self.position % 8) & 1;
        self.position += 1;
        Some(bit == 1)
    }

    /// An unsigned number of so many bits, at most 32.
    pub(crate) fn u(&mut self, count: u32) -> Option<u32> {
        (0..count).try_fold(0u32, |value, _| Some(value << 1 | u32::from(self.flag()?)))
    }

    /// An unsigned Exp-Golomb code (9.1). Signed codes have the same length.
    pub(crate) fn ue(&mut self) -> Option<u32> {
        let mut zeros = 0;
        while !self.flag()? {
            zeros += 1;
            if zeros > 31 {
                return None;
            }
        }
        Some(((1u32 << zeros) - 1) + self.u(zeros)?)
    }

    fn se(&mut self) -> Option<i32> {
        let code = i64::from(self.ue()?);
        Some(if code % 2 == 1 { (code + 1) / 2 } else { -(code / 2) } as i32)
    }

    fn skip_scaling_lists(&mut self, lists: usize) -> Option<()> {
        for list in 0..lists {
            if !self.flag()? {
                continue;
            }
            let (mut last, mut next) = (8i32, 8i32);
            for _ in 0..if list < 6 { 16 } else { 64 } {
                if next != 0 {
                    next = last.wrapping_add(self.se()?).rem_euclid(256);
                }
                if next != 0 {
                    last = next;
                }
            }
        }
        Some(())
    }

    /// `None` at the end of the bits, `Some(None)` if the VUI does not speak of colour.
    fn vui_colour(&mut self) -> Option<Option<VuiColour>> {
        if self.flag()? && self.u(8)? == 255 {
            self.u(32)?; // an aspect ratio of its own
        }
        if self.flag()? {
            self.flag()?; // overscan_appropriate
        }
        if !self.flag()? {
            return Some(None);
        }
        self.u(3)?; // video_format
        let full_range = self.flag()?;
        let description = match self.flag()? {
            true => Some([self.u(8)? as u8, self.u(8)? as u8, self.u(8)? as u8]),
            false => None,
        };
        Some(Some(VuiColour { full_range, description }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_1080p_stream_is_read_with_its_crop() {
        // The 1920x1080 High 4.0 stream that mp4-atom tests with.
        let sps = [
            0x67, 0x64, 0x00, 0x28, 0xac, 0xd9, 0x40, 0x78, 0x02, 0x27, 0xe5, 0x84, 0x00, 0x00, 0x03, 0x00,
            0x04, 0x00, 0x00, 0x03, 0x00, 0xf0, 0x3c, 0x60, 0xc6, 0x58,
        ];
        let sps = Sps::parse(&sps).unwrap();
        assert_eq!((sps.profile_idc, sps.level_idc), (100, 40));
        assert_eq!((sps.width, sps.height), (1920, 1080));
        assert_eq!((sps.coded_width, sps.coded_height), (1920, 1088));
        assert_eq!((sps.chroma_format_idc, sps.bit_depth, sps.frame_mbs_only), (1, 8, true));
        assert_eq!(sps.reference_frames, 4);
        assert_eq!(sps.colour, None);
    }

    #[test]
    fn any_bytes_end_without_panic() {
        let mut seed = 1u32;
        for length in 0..400 {
            let nal: Vec<u8> = (0..length)
                .map(|_| {
                    seed = seed.wrapping_mul(1664525).wrapping_add(1013904223);
                    // Many zeros make long codes.
                    if seed >> 30 == 0 { (seed >> 16) as u8 } else { 0 }
                })
                .collect();
            Sps::parse(&nal);
            Sps::parse(&[&[0x67, 100, 0, 40][..], &nal].concat());
        }
    }
}
