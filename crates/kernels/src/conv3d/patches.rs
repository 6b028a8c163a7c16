//! The matrices of a convolution, read in place.

use super::Conv3dShape;
use crate::gemm::{Operand, Run, interleave};

/// Where a flat position lies: its sample, and frame, row, column.
#[derive(Clone, Copy, Default)]
struct Place {
    sample: usize,
    at: [usize; 3],
}

impl Place {
    fn new(position: usize, [frames, h, w]: [usize; 3]) -> Self {
        let (plane, x) = (position / w, position % w);
        let (volume, y) = (plane / h, plane % h);
        Self { sample: volume / frames, at: [volume % frames, y, x] }
    }

    /// Steps to the next position; divisions cost more than a step.
    fn advance(&mut self, [frames, h, w]: [usize; 3]) {
        let [f, y, x] = &mut self.at;
        *x += 1;
        if *x == w {
            (*x, *y) = (0, *y + 1);
            if *y == h {
                (*y, *f) = (0, *f + 1);
                if *f == frames {
                    (*f, self.sample) = (0, self.sample + 1);
                }
            }
        }
    }
}

/// Most lanes that any micro kernel packs at once.
const LANES_MAX: usize = 32;

/// The places of `lanes` positions from `lane0` on.
fn places(lane0: usize, lanes: usize, sizes: [usize; 3]) -> [Place; LANES_MAX] {
    let mut places = [Place::default(); LANES_MAX];
    let mut place = Place::new(lane0, sizes);
    for to in places.iter_mut().take(lanes) {
        *to = place;
        place.advance(sizes);
    }
    places
}

/// Tap number → offsets in time, height, width.
fn tap_offsets(tap: usize, [_, kh, kw]: [usize; 3]) -> [usize; 3] {
    [tap / (kh * kw), tap / kw % kh, tap % kw]
}

/// A long row of zeros, read where a patch lies outside.
static ZEROS: [f32; 1024] = [0.0; 1024];

/// Packs lanes whose depth runs over taps of `channels` values each; `source(l, tap)` is where the run of the `l`-th
/// packed lane starts.
fn pack_runs<'a>(
    channels: usize,
    [lanes, width, depth0, depth]: [usize; 4],
    out: &mut [f32],
    source: impl Fn(usize, usize) -> Option<&'a [f32]>,
) {
    if lanes < width {
        out[..depth * width].fill(0.0);
    }
    let mut done = 0;
    while done < depth {
        let (tap, channel) = ((depth0 + done) / channels, (depth0 + done) % channels);
        let run = (channels - channel).min(depth - done).min(ZEROS.len());
        let out = &mut out[done * width..][..run * width];
        for group in (0..lanes).step_by(8) {
            let count = 8.min(lanes - group);
            let mut rows = [&[][..]; 8];
            for (l, row) in rows.iter_mut().take(count).enumerate() {
                *row = match source(group + l, tap) {
                    Some(run_of_tap) => &run_of_tap[channel..channel + run],
                    None => &ZEROS[..run],
                };
            }
            interleave(&rows[..count], group, width, out);
        }
        done += run;
    }
}

/// Hands out the same runs one by one, `source` as in [`pack_runs`].
fn each_run<'a>(
    channels: usize,
    [lanes, depth0, depth]: [usize; 3],
    source: impl Fn(usize, usize) -> Option<&'a [f32]>,
    mut take: impl FnMut(Run),
) {
    let mut done = 0;
    while done < depth {
        let (tap, channel) = ((depth0 + done) / channels, (depth0 + done) % channels);
        let run = (channels - channel).min(depth - done).min(ZEROS.len());
        for lane in 0..lanes {
            let values = match source(lane, tap) {
                Some(values) => &values[channel..channel + run],
                None => &ZEROS[..run],
            };
            take(Run { lane, depth: done, values, factor: 1.0 });
        }
        done += run;
    }
}

/// Rows of `A` are output positions, depth is taps × input channels.
pub struct InputPatches<'a> {
    x: &'a [f32],
    shape: Conv3dShape,
    output: [usize; 3],
}

impl<'a> InputPatches<'a> {
    pub fn new(x: &'a [f32], shape: Conv3dShape) -> Self {
        Self { x, shape, output: shape.output() }
    }

    /// The `C` input values under a tap at an output position, `None` in the padding.
    #[inline]
    fn run(&self, Place { sample, at }: Place, tap: usize) -> Option<&'a [f32]> {
        let offsets = tap_offsets(tap, self.shape.kernel);
        let input = self.shape.input;
        let mut flat = sample;
        for axis in 0..3 {
            let i =
                (at[axis] * self.shape.stride[axis] + offsets[axis]).checked_sub(self.shape.padding[axis])?;
            if i >= input[axis] {
                return None;
            }
            flat = flat * input[axis] + i;
        }
        let c = self.shape.channels_in;
        Some(&self.x[flat * c..][..c])
    }

    /// Whether all taps of a row of the kernel lie inside the input's width there.
    fn holds_rows(&self, place: Place) -> bool {
        let Conv3dShape { input, kernel, stride, padding, .. } = self.shape;
        let right = place.at[2] * stride[2] + kernel[2];
        right >= padding[2] + kernel[2] && right <= padding[2] + input[2]
    }

    /// The `Kw·C` values under a row of taps at such a position; they lie one after another.
    #[inline]
    fn run_of_row(&self, place: Place, row: usize) -> Option<&'a [f32]> {
        let Conv3dShape { input, kernel, stride, padding, channels_in: c, .. } = self.shape;
        let mut flat = place.sample;
        for (axis, offset) in [row / kernel[1], row % kernel[1]].into_iter().enumerate() {
            let i = (place.at[axis] * stride[axis] + offset).checked_sub(padding[axis])?;
            if i >= input[axis] {
                return None;
            }
            flat = flat * input[axis] + i;
        }
        let first = flat * input[2] + place.at[2] * stride[2] - padding[2];
        Some(&self.x[first * c..][..kernel[2] * c])
    }
}

impl Operand for InputPatches<'_> {
    fn pack(&self, lane0: usize, lanes: usize, width: usize, depth0: usize, depth: usize, out: &mut [f32]) {
        let places = places(lane0, lanes, self.output);
        let geometry = [lanes, width, depth0, depth];
        if places[..lanes].iter().all(|place| self.holds_rows(*place)) {
            // Longer runs, which matter where channels are few.
            let run = self.shape.kernel[2] * self.shape.channels_in;
            pack_runs(run, geometry, out, |l, row| self.run_of_row(places[l], row));
            return;
        }
        pack_runs(self.shape.channels_in, geometry, out, |l, tap| self.run(places[l], tap));
    }

    fn each_run(
        &self,
        lane0: usize,
        lanes: usize,
        depth0: usize,
        depth: usize,
        take: impl FnMut(Run),
    ) -> bool {
        let places = places(lane0, lanes, self.output);
        each_run(self.shape.channels_in, [lanes, depth0, depth], |l, tap| self.run(places[l], tap), take);
        true
    }
}

/// Rows of `A` are input positions, depth is taps × output channels: which outputs each input has reached.
pub struct OutputPatches<'a> {
    d_out: &'a [f32],
    shape: Conv3dShape,
    output: [usize; 3],
}

impl<'a> OutputPatches<'a> {
    pub fn new(d_out: &'a [f32], shape: Conv3dShape) -> Self {
        Self { d_out, shape, output: shape.output() }
    }

    #[inline]
    fn run(&self, Place { sample, at }: Place, tap: usize) -> Option<&'a [f32]> {
        let offsets = tap_offsets(tap, self.shape.kernel);
        let mut flat = sample;
        for axis in 0..3 {
            let i = (at[axis] + self.shape.padding[axis]).checked_sub(offsets[axis])?;
            let i = match self.shape.stride[axis] {
                1 => i,
                stride if i % stride == 0 => i / stride,
                _ => return None,
            };
            if i >= self.output[axis] {
                return None;
            }
            flat = flat * self.output[axis] + i;
        }
        let o = self.shape.channels_out;
        Some(&self.d_out[flat * o..][..o])
    }
}

impl Operand for OutputPatches<'_> {
    fn pack(&self, lane0: usize, lanes: usize, width: usize, depth0: usize, depth: usize, out: &mut [f32]) {
        let places = places(lane0, lanes, self.shape.input);
        let geometry = [lanes, width, depth0, depth];
        pack_runs(self.shape.channels_out, geometry, out, |l, tap| self.run(places[l], tap));
    }

    fn each_run(
        &self,
        lane0: usize,
        lanes: usize,
        depth0: usize,
        depth: usize,
        take: impl FnMut(Run),
    ) -> bool {
        let places = places(lane0, lanes, self.shape.input);
        each_run(self.shape.channels_out, [lanes, depth0, depth], |l, tap| self.run(places[l], tap), take);
        true
    }
}

/// Columns of `B` are input channels, depth is taps × output channels.
pub struct WeightsTransposed<'a> {
    pub weights: &'a [f32],
    pub shape: Conv3dShape,
}

impl Operand for WeightsTransposed<'_> {
    fn pack(&self, lane0: usize, lanes: usize, width: usize, depth0: usize, depth: usize, out: &mut [f32]) {
        let (c, o) = (self.shape.channels_in, self.shape.channels_out);
        let geometry = [lanes, width, depth0, depth];
        pack_runs(o, geometry, out, |l, tap| Some(&self.weights[(tap * c + lane0 + l) * o..][..o]));
    }
}

/// Columns of `B` are taps × input channels, depth is output positions.
pub struct PatchesTransposed<'a>(InputPatches<'a>);

impl<'a> PatchesTransposed<'a> {
    pub fn new(x: &'a [f32], shape: Conv3dShape) -> Self {
        Self(InputPatches::new(x, shape))
    }
}

impl PatchesTransposed<'_> {
    /// `LANES` channels of one tap from `place` on, none of which belongs to the next tap.
    fn pack_whole<const LANES: usize>(
        &self,
        mut place: Place,
        [tap, channel]: [usize; 2],
        depth: usize,
        out: &mut [f32],
    ) {
        for row in out.as_chunks_mut::<LANES>().0.iter_mut().take(depth) {
            *row = match self.0.run(place, tap) {
                Some(values) => *values[channel..].first_chunk().expect("so many channels are left"),
                None => [0.0; LANES],
            };
            place.advance(self.0.output);
        }
    }
}

impl Operand for PatchesTransposed<'_> {
    fn pack(&self, lane0: usize, lanes: usize, width: usize, depth0: usize, depth: usize, out: &mut [f32]) {
        let c = self.0.shape.channels_in;
        let mut place = Place::new(depth0, self.0.output);
        let (tap, channel) = (lane0 / c, lane0 % c);
        // The usual case of the vector kernels: one run of a known length a position.
        if lanes == width && channel + width <= c {
            match width {
                16 => return self.pack_whole::<16>(place, [tap, channel], depth, out),
                32 => return self.pack_whole::<32>(place, [tap, channel], depth, out),
                _ => {}
            }
        }
        for row in out.chunks_exact_mut(width).take(depth) {
            row[lanes..].fill(0.0);
            let mut done = 0;
            while done < lanes {
                let (tap, channel) = ((lane0 + done) / c, (lane0 + done) % c);
                let run = (c - channel).min(lanes - done);
                let to = &mut row[done..done + run];
                match self.0.run(place, tap) {
                    Some(values) => to.copy_from_slice(&values[channel..channel + run]),
                    None => to.fill(0.0),
                }
                done += run;
            }
            place.advance(self.0.output);
        }
    }
}
