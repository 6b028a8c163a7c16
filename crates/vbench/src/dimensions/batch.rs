//! Frames that wait until they go through a network together.

use vidit_backbones::Grid;

/// Prepared frames of one size.
pub(crate) struct Batch {
    room: usize,
    waiting: Vec<Grid>,
}

impl Batch {
    /// `room` frames at most, 1 or more.
    pub fn new(room: usize) -> Self {
        Self { room, waiting: Vec::with_capacity(room) }
    }

    pub fn clear(&mut self) {
        self.waiting.clear();
    }

    /// Adds a frame `[1, H, W, C]`; all that wait, `[B, H, W, C]`, once they are enough.
    pub fn push(&mut self, frame: Grid) -> Option<Grid> {
        self.waiting.push(frame);
        if self.waiting.len() < self.room { None } else { self.take() }
    }

    /// All that wait, if there are any.
    pub fn take(&mut self) -> Option<Grid> {
        let first = self.waiting.first()?;
        let [_, height, width, channels] = first.shape();
        let count = self.waiting.len();
        let mut data = Vec::with_capacity(count * first.data.len());
        for frame in self.waiting.drain(..) {
            data.extend_from_slice(&frame.data);
        }
        Some(Grid::new(data, [count, height, width, channels])) // [B, H, W, C]
    }
}
