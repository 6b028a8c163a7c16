use std::collections::VecDeque;

use super::{CoTracker, STEPS, STRIDE, bilinear};
use crate::Grid;
use crate::layers::Pyramid;

/// Points of a regular grid on the first frame, on their way through a video.
pub struct Tracker {
    /// Points along a side.
    side: usize,
    /// Of the frames, height and width.
    size: Option<[usize; 2]>,
    /// Of the frames from the next window's first on.
    waiting: VecDeque<Pyramid>,
    /// Frames that came.
    frames: usize,
    /// The first frame of the next window.
    begins: usize,
    /// In pixels of the network's frames, `[N]`.
    queries: Vec<[f32; 2]>,
    /// `[N, C]`.
    features: Vec<f32>,
    /// In pixels of the network's frames, frame by frame `[N]`.
    places: Vec<Vec<[f32; 2]>>,
    /// Logits, frame by frame `[N]`.
    visible: Vec<Vec<f32>>,
}

/// Where points are.
#[derive(Clone, Debug, PartialEq)]
pub struct Tracks {
    /// x and y in pixels of the video by frame, `[F, N]`. Points outside of frames are not moved inside.
    pub places: Vec<Vec<[f32; 2]>>,
}

impl Tracker {
    /// Of `side × side` points, row by row; 2 or more along a side.
    pub fn new(side: usize) -> Self {
        assert!(side >= 2, "a grid has two points or more along a side");
        Self {
            side,
            size: None,
            waiting: VecDeque::new(),
            frames: 0,
            begins: 0,
            queries: Vec::new(),
            features: Vec::new(),
            places: Vec::new(),
            visible: Vec::new(),
        }
    }

    /// The next frame, `[1, H, W, 3]`, RGB from 0 to 255.
    ///
    /// # Panics
    /// If it is of another size than the one before.
    pub fn push(&mut self, network: &CoTracker, frame: &Grid) {
        self.push_watched(network, frame, &mut |_, _| {});
    }

    /// The same; `watch` sees activations by name as they are computed.
    ///
    /// # Panics
    /// As [`Self::push`].
    pub fn push_watched(&mut self, network: &CoTracker, frame: &Grid, watch: &mut dyn FnMut(&str, &[f32])) {
        let size = [frame.height, frame.width];
        assert_eq!(*self.size.get_or_insert(size), size, "frames are of one size");
        let scales = network.features(frame);
        watch(&format!("features.{}", self.frames), &scales.map().data);
        if self.frames == 0 {
            self.queries = grid(self.side, network.resolution());
            let on_map = self.queries.iter().map(|query| query.map(|value| value / STRIDE as f32));
            self.features = on_map.flat_map(|query| bilinear(scales.map(), query)).collect(); // [N, C]
        }
        self.waiting.push_back(scales);
        self.frames += 1;
        if self.waiting.len() == network.window() {
            self.window(network, watch);
        }
    }

    /// Where the points are; every frame was seen. On the first frame they are where the grid has them.
    ///
    /// Of a video shorter than a window the last frame is repeated, as in the published code. This finds no window in half as many frames
    /// or fewer, and gives zeros for all but the first, which is not imitated.
    pub fn finish(self, network: &CoTracker) -> Tracks {
        self.finish_watched(network, &mut |_, _| {})
    }

    /// The same; `watch` sees activations by name as they are computed.
    pub fn finish_watched(mut self, network: &CoTracker, watch: &mut dyn FnMut(&str, &[f32])) -> Tracks {
        // What was not in a window yet; a video is in the first whatever its length.
        if self.frames > self.places.len() {
            self.window(network, watch);
        }
        let Some([height, width]) = self.size else { return Tracks { places: Vec::new() } };
        self.places[0].clone_from(&self.queries);
        let seen = network.resolution();
        let scale = |from: usize, to: usize| ((from as f64 - 1.0) / (to as f64 - 1.0)) as f32;
        let (across, down) = (scale(width, seen[1]), scale(height, seen[0]));
        for place in self.places.iter_mut().flatten() {
            *place = [place[0] * across, place[1] * down];
        }
        Tracks { places: self.places }
    }

    /// Follows the points through the next window, and forgets frames before the one after.
    fn window(&mut self, network: &CoTracker, watch: &mut dyn FnMut(&str, &[f32])) {
        let (times, tracks) = (network.window(), self.queries.len());
        let step = times / 2;
        let known = self.places.len() - self.begins;
        // The last frame's features serve for those that lack.
        let frames: Vec<&Pyramid> =
            (0..times).map(|s| &self.waiting[s.min(self.waiting.len() - 1)]).collect();
        let mut places = Vec::with_capacity(tracks * times);
        let mut visible = Vec::with_capacity(tracks * times);
        for n in 0..tracks {
            for s in 0..times {
                match known.checked_sub(1) {
                    // Beyond what the window before saw, as it saw last.
                    Some(last) => {
                        let frame = self.begins + s.min(last);
                        places.push(self.places[frame][n].map(|value| value / STRIDE as f32));
                        visible.push(self.visible[frame][n]);
                    }
                    None => {
                        places.push(self.queries[n].map(|value| value / STRIDE as f32));
                        visible.push(VISIBLE);
                    }
                }
            }
        }
        let mut window = network.begin(places, &visible, &self.features, known);
        let name = self.begins / step;
        for i in 0..STEPS {
            network.step(&mut window, &frames, &mut |part, values| {
                watch(&format!("window.{name}.step.{i}.{part}"), values);
            });
            let places: Vec<f32> =
                window.places.iter().flatten().map(|value| value * STRIDE as f32).collect();
            watch(&format!("window.{name}.places.{i}"), &places);
        }
        let logits = network.visible(&window);
        watch(&format!("window.{name}.visible"), &logits);
        let at = |s: usize| (0..tracks).map(move |n| n * times + s);
        self.places.truncate(self.begins);
        self.visible.truncate(self.begins);
        for s in 0..times.min(self.waiting.len()) {
            let in_pixels = at(s).map(|i| window.places[i].map(|value| value * STRIDE as f32));
            self.places.push(in_pixels.collect());
            self.visible.push(at(s).map(|i| logits[i]).collect());
        }
        self.begins += step;
        self.waiting.drain(..step.min(self.waiting.len()));
    }
}

/// Logit of visibility where nothing is known yet.
const VISIBLE: f32 = 10.0;

/// The official predictor's points on frames `[H, W]`: x and y, row by row, a 64th of the width from every border.
fn grid(side: usize, [height, width]: [usize; 2]) -> Vec<[f32; 2]> {
    let margin = width as f32 / 64.0;
    let line = |size: usize| evenly(margin, size as f32 - margin, side);
    let (rows, columns) = (line(height), line(width));
    rows.iter().flat_map(|y| columns.iter().map(|x| [*x, *y])).collect()
}

/// As PyTorch's `linspace` rounds: from the nearer end.
fn evenly(from: f32, to: f32, count: usize) -> Vec<f32> {
    let step = (to - from) / (count - 1) as f32;
    let place = |i: usize| match i < count / 2 {
        true => from + step * i as f32,
        false => to - step * (count - 1 - i) as f32,
    };
    (0..count).map(place).collect()
}
