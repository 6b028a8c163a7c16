//! 8-bit RGB and planar Y'CbCr 4:2:0, both ways, in 16.16 fixed point.

/// Planes of one picture: `y` is `[height, width]`, `cb` and `cr` are `[height / 2, width / 2]`.
pub(crate) struct Planes {
    pub(crate) width: usize,
    pub(crate) y: Vec<u8>,
    pub(crate) cb: Vec<u8>,
    pub(crate) cr: Vec<u8>,
}

/// Planes that lie elsewhere, with the distance in bytes from row to row.
#[derive(Clone, Copy)]
pub(crate) struct PlanesRef<'a> {
    pub(crate) y: &'a [u8],
    pub(crate) cb: &'a [u8],
    pub(crate) cr: &'a [u8],
    pub(crate) luma_stride: usize,
    pub(crate) chroma_stride: usize,
}

/// What a file says of its colours, in the codes of ITU-T H.273.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ColourTags {
    /// `matrix_coefficients`: 1 is BT.709, 5 and 6 BT.601; [`Self::UNSAID`] if the file is silent.
    pub matrix_coefficients: u8,
    /// Luma from 0 to 255 instead of 16 to 235.
    pub full_range: bool,
}

impl ColourTags {
    /// The code for "unspecified".
    pub const UNSAID: u8 = 2;
}

impl Default for ColourTags {
    /// A silent file.
    fn default() -> Self {
        Self { matrix_coefficients: Self::UNSAID, full_range: false }
    }
}

/// Which matrix and range a stream uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ColourSpace {
    pub(crate) matrix: Matrix,
    pub(crate) full_range: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Matrix {
    Bt601,
    Bt709,
    Bt2020,
}

impl ColourSpace {
    /// Streams that do not say get BT.601, as ffmpeg's scaler gives them.
    pub(crate) fn from_tags(tags: ColourTags) -> Self {
        let matrix = match tags.matrix_coefficients {
            1 => Matrix::Bt709,
            9 | 10 => Matrix::Bt2020,
            _ => Matrix::Bt601,
        };
        Self { matrix, full_range: tags.full_range }
    }
}

impl Matrix {
    /// `(Kr, Kb)` of H.273, table 4.
    const fn weights(self) -> (f64, f64) {
        match self {
            Self::Bt601 => (0.299, 0.114),
            Self::Bt709 => (0.2126, 0.0722),
            Self::Bt2020 => (0.2627, 0.0593),
        }
    }
}

const SHIFT: i32 = 16;
const ONE: f64 = (1 << SHIFT) as f64;
const HALF: i32 = 1 << (SHIFT - 1);

const fn fixed(x: f64) -> i32 {
    (if x < 0.0 { x * ONE - 0.5 } else { x * ONE + 0.5 }) as i32
}

/// BT.709, limited range: what we write.
struct FromRgb {
    y: [i32; 3],
    cb: [i32; 3],
    cr: [i32; 3],
}

const FROM_RGB: FromRgb = {
    let (kr, kb) = Matrix::Bt709.weights();
    let kg = 1.0 - kr - kb;
    let (luma, chroma) = (219.0 / 255.0, 224.0 / 255.0);
    let b = 0.5 * chroma / (1.0 - kb);
    let r = 0.5 * chroma / (1.0 - kr);
    FromRgb {
        y: [fixed(kr * luma), fixed(kg * luma), fixed(kb * luma)],
        cb: [fixed(-kr * b), fixed(-kg * b), fixed((1.0 - kb) * b)],
        cr: [fixed((1.0 - kr) * r), fixed(-kg * r), fixed(-kb * r)],
    }
};

impl Planes {
    pub(crate) fn new(width: usize, height: usize) -> Self {
        let chroma = (width / 2) * (height / 2);
        Self { width, y: vec![0; width * height], cb: vec![0; chroma], cr: vec![0; chroma] }
    }

    /// Fills the planes from `[height, width, 3]` bytes. Chroma is that of the mean colour of each 2x2 block.
    pub(crate) fn fill_from_rgb(&mut self, rgb: &[u8]) {
        let (width, row_bytes) = (self.width, self.width * 3);
        for (pixel, y) in rgb.chunks_exact(3).zip(&mut self.y) {
            *y = ((dot(FROM_RGB.y, [0, 1, 2].map(|c| i32::from(pixel[c]))) + HALF + (16 << SHIFT)) >> SHIFT)
                as u8;
        }
        let rows = rgb.chunks_exact(row_bytes * 2);
        let chroma = self.cb.chunks_exact_mut(width / 2).zip(self.cr.chunks_exact_mut(width / 2));
        for (two_rows, (cb, cr)) in rows.zip(chroma) {
            let (top, bottom) = two_rows.split_at(row_bytes);
            let blocks = top.chunks_exact(6).zip(bottom.chunks_exact(6));
            for ((top, bottom), (cb, cr)) in blocks.zip(cb.iter_mut().zip(cr)) {
                let sum = [0, 1, 2]
                    .map(|c| [top[c], top[c + 3], bottom[c], bottom[c + 3]].map(i32::from).iter().sum());
                // Sums of four: two more bits to shift out.
                let offset = (128 << (SHIFT + 2)) + (HALF << 2);
                *cb = ((dot(FROM_RGB.cb, sum) + offset) >> (SHIFT + 2)) as u8;
                *cr = ((dot(FROM_RGB.cr, sum) + offset) >> (SHIFT + 2)) as u8;
            }
        }
    }
}

fn dot(weights: [i32; 3], values: [i32; 3]) -> i32 {
    weights[0] * values[0] + weights[1] * values[1] + weights[2] * values[2]
}

/// Writes `[height, width, 3]` bytes.
///
/// Chroma is interpolated linearly between the middles of the 2x2 blocks, as players do. On smooth clips that is 2 to
/// 3.5 dB nearer to the source than repeating it; on edges that lie between two blocks it is further off.
pub(crate) fn rgb_from_planes(planes: PlanesRef<'_>, space: ColourSpace, width: usize, rgb: &mut [u8]) {
    let (kr, kb) = space.matrix.weights();
    let kg = 1.0 - kr - kb;
    let (black, luma, chroma) =
        if space.full_range { (0, 1.0, 1.0) } else { (16, 255.0 / 219.0, 255.0 / 224.0) };
    let to_y = fixed(luma);
    let cr_to_r = fixed(2.0 * (1.0 - kr) * chroma);
    let cb_to_b = fixed(2.0 * (1.0 - kb) * chroma);
    let cr_to_g = fixed(-2.0 * (1.0 - kr) * kr / kg * chroma);
    let cb_to_g = fixed(-2.0 * (1.0 - kb) * kb / kg * chroma);
    let clamp = |x: i32| (x >> SHIFT).clamp(0, 255) as u8;
    let height = rgb.len() / (width * 3);
    let (mut cb, mut cr) = (ChromaRow::new(width), ChromaRow::new(width));
    for (row, rgb) in rgb.chunks_exact_mut(width * 3).enumerate() {
        cb.interpolate(planes.cb, planes.chroma_stride, row, height);
        cr.interpolate(planes.cr, planes.chroma_stride, row, height);
        let luma = &planes.y[row * planes.luma_stride..][..width];
        let pixels = luma.iter().zip(rgb.chunks_exact_mut(3)).zip(cb.row.iter().zip(&cr.row));
        for ((&y, rgb), (&cb, &cr)) in pixels {
            // Chroma comes in sixteenths: shift four bits out of the products.
            let (r, g, b) = ((cr_to_r * cr) >> 4, (cb_to_g * cb + cr_to_g * cr) >> 4, (cb_to_b * cb) >> 4);
            let y = to_y * (i32::from(y) - black) + HALF;
            rgb.copy_from_slice(&[clamp(y + r), clamp(y + g), clamp(y + b)]);
        }
    }
}

/// One row of a chroma plane at the resolution of luma.
struct ChromaRow {
    /// Interpolated between rows, in quarters, with the first and the last sample repeated: `[width / 2 + 2]`.
    between: Vec<i32>,
    /// Less its zero of 128, in sixteenths: `[width]`.
    row: Vec<i32>,
}

impl ChromaRow {
    fn new(width: usize) -> Self {
        Self { between: vec![0; width.div_ceil(2) + 2], row: vec![0; width] }
    }

    fn interpolate(&mut self, plane: &[u8], stride: usize, row: usize, height: usize) {
        let samples = self.between.len() - 2;
        let near = row / 2;
        // The other row that is close: above for even rows, below for odd ones.
        let far = if row.is_multiple_of(2) {
            near.saturating_sub(1)
        } else {
            (near + 1).min(height.div_ceil(2) - 1)
        };
        let near = &plane[near * stride..][..samples];
        let far = &plane[far * stride..][..samples];
        for (to, (&near, &far)) in self.between[1..].iter_mut().zip(near.iter().zip(far)) {
            *to = (i32::from(near) - 128) * 3 + i32::from(far) - 128;
        }
        self.between[0] = self.between[1];
        self.between[samples + 1] = self.between[samples];
        for (to, around) in self.row.chunks_mut(2).zip(self.between.windows(3)) {
            to[0] = around[1] * 3 + around[0];
            if let Some(right) = to.get_mut(1) {
                *right = around[1] * 3 + around[2];
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BT709: ColourSpace = ColourSpace { matrix: Matrix::Bt709, full_range: false };

    fn round_trip(width: usize, height: usize, rgb: &[u8]) -> Vec<u8> {
        let mut planes = Planes::new(width, height);
        planes.fill_from_rgb(rgb);
        let planes = PlanesRef {
            y: &planes.y,
            cb: &planes.cb,
            cr: &planes.cr,
            luma_stride: width,
            chroma_stride: width / 2,
        };
        let mut back = vec![0; rgb.len()];
        rgb_from_planes(planes, BT709, width, &mut back);
        back
    }

    #[test]
    fn known_colours_get_the_codes_of_bt709() {
        // Reference values: ITU-R BT.709-6, section 3, quantised to 8 bits.
        for (rgb, expected) in [
            ([255u8, 255, 255], [235, 128, 128]),
            ([0, 0, 0], [16, 128, 128]),
            ([255, 0, 0], [63, 102, 240]),
            ([0, 255, 0], [173, 42, 26]),
            ([0, 0, 255], [32, 240, 118]),
        ] {
            let mut planes = Planes::new(2, 2);
            planes.fill_from_rgb(&rgb.repeat(4));
            assert_eq!([planes.y[3], planes.cb[0], planes.cr[0]], expected, "{rgb:?}");
        }
    }

    #[test]
    fn every_flat_colour_survives_within_rounding() {
        // Half a code of Y (255/219) and of chroma (up to 1.86 · 255/224): below 2.
        const TOLERANCE: u8 = 2;
        for r in (0..=255).step_by(15) {
            for g in (0..=255).step_by(15) {
                for b in (0..=255u8).step_by(15) {
                    let rgb = [r, g, b].repeat(4);
                    for (a, b) in round_trip(2, 2, &rgb).iter().zip(&rgb) {
                        assert!(a.abs_diff(*b) <= TOLERANCE, "{rgb:?}: {a} {b}");
                    }
                }
            }
        }
    }

    #[test]
    fn chroma_is_the_mean_of_the_block() {
        let mut planes = Planes::new(2, 2);
        planes.fill_from_rgb(&[255, 0, 0, 0, 0, 255, 255, 0, 0, 0, 0, 255]);
        let mut flat = Planes::new(2, 2);
        flat.fill_from_rgb(&[128, 0, 128].repeat(4));
        assert!(planes.cb[0].abs_diff(flat.cb[0]) <= 1 && planes.cr[0].abs_diff(flat.cr[0]) <= 1);
    }

    #[test]
    fn chroma_ramps_are_not_stairs() {
        // Red and blue rise while green falls, one step a pixel: the mean of each block is exact, and what lies between
        // two middles is linear. Only the border, which has one neighbour, is off by half a block.
        let (width, height) = (64, 8);
        let ramp: Vec<u8> = (0..width * height)
            .flat_map(|at| {
                let x = (at % width) as u8 * 2;
                [60 + x, 200 - x, 60 + x]
            })
            .collect();
        let back = round_trip(width, height, &ramp);
        for (at, (a, b)) in back.iter().zip(&ramp).enumerate() {
            let x = at / 3 % width;
            let tolerance = if x == 0 || x == width - 1 { 4 } else { 2 };
            assert!(a.abs_diff(*b) <= tolerance, "x {x}: {a} {b}");
        }
    }

    #[test]
    fn unnamed_matrices_are_bt601() {
        assert_eq!(ColourSpace::from_tags(ColourTags::default()).matrix, Matrix::Bt601);
        let tags = ColourTags { matrix_coefficients: 1, full_range: false };
        assert_eq!(ColourSpace::from_tags(tags), BT709);
    }
}
