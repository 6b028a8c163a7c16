//! What is made of some frames from all over a video.

use crate::samplers::middle;

/// One thing for each place of a sample of frames. Short videos repeat their last frame, and what was made of it.
pub(crate) struct Middles<T> {
    wanted: usize,
    places: Vec<usize>,
    made: Vec<T>,
}

impl<T: Clone> Middles<T> {
    /// Of `wanted` frames of each video.
    pub fn of(wanted: usize) -> Self {
        Self { wanted, places: Vec::new(), made: Vec::new() }
    }

    /// A video of so many frames begins.
    pub fn begin(&mut self, frames: usize) {
        self.places = middle(self.wanted, frames);
        self.made.clear();
    }

    /// Of this video, only the first `count` places.
    pub fn keep(&mut self, count: usize) {
        self.places.truncate(count);
    }

    /// Makes something of frame `index`, once, if it is one of the sample.
    pub fn frame<E>(&mut self, index: usize, make: impl FnOnce() -> Result<T, E>) -> Result<(), E> {
        let times = self.places.iter().filter(|place| **place == index).count();
        if times > 0 {
            let made = make()?;
            self.made.extend(std::iter::repeat_n(made, times));
        }
        Ok(())
    }

    /// All that was made, in order.
    pub fn made(&self) -> &[T] {
        &self.made
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_videos_repeat_what_was_made_of_their_last_frame() {
        let mut made = 0;
        let mut middles = Middles::of(4);
        for (frames, expected) in [(2, vec![0, 1, 1, 1]), (8, vec![0, 2, 4, 6])] {
            made = 0;
            middles.begin(frames);
            for index in 0..frames {
                let make = || {
                    made += 1;
                    Ok::<_, ()>(index)
                };
                middles.frame(index, make).unwrap();
            }
            assert_eq!(middles.made(), expected);
        }
        assert_eq!(made, 4);
        middles.begin(8);
        middles.keep(2);
        (0..8).for_each(|index| middles.frame(index, || Ok::<_, ()>(index)).unwrap());
        assert_eq!(middles.made(), [0, 2]);
        assert_eq!(middles.frame(0, || Err::<usize, _>("no")), Err("no"));
        assert_eq!(middles.frame(1, || Err::<usize, _>("no")), Ok(()));
    }
}
