//! Which frames a dimension looks at.

/// `wanted` of `available` frames, each from the middle of one of as many equal parts; with fewer, the last one again.
///
/// With k = min(wanted, available) and eᵢ = ⌊available · i / k⌋, frame i is ⌊(eᵢ + eᵢ₊₁ − 1) / 2⌋. Empty if there are none.
pub fn middle(wanted: usize, available: usize) -> Vec<usize> {
    let parts = wanted.min(available);
    let edge = |part: usize| available * part / parts;
    let mut frames: Vec<usize> = (0..parts).map(|part| (edge(part) + edge(part + 1) - 1) / 2).collect();
    if let Some(&last) = frames.last() {
        frames.resize(wanted, last);
    }
    frames
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_those_of_the_reference() {
        // `get_frame_indices(n, L, sample="middle")` of vbench 0.1.5.
        assert_eq!(middle(8, 49), [2, 8, 14, 20, 26, 32, 38, 45]);
        assert_eq!(middle(8, 150), [8, 27, 46, 65, 83, 102, 121, 140]);
        assert_eq!(middle(16, 81), [2, 7, 12, 17, 22, 27, 32, 37, 42, 47, 52, 57, 62, 67, 72, 77]);
        assert_eq!(middle(16, 10), [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 9, 9, 9, 9, 9, 9]);
        assert_eq!(middle(16, 1), [0; 16]);
        assert!(middle(16, 0).is_empty());
    }

    #[test]
    fn frames_exist_and_rise() {
        for wanted in [1, 8, 16] {
            for available in 1..500 {
                let frames = middle(wanted, available);
                assert_eq!(frames.len(), wanted);
                assert!(frames.is_sorted() && frames.iter().all(|&frame| frame < available));
            }
        }
    }
}
