//! What was probably meant.

/// The known word nearest to `word`, if one is near: a third of its letters may be wrong.
pub(crate) fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let plain = plain(word);
    let letters: Vec<char> = plain.chars().collect();
    let mut best: Option<(usize, &str)> = None;
    for candidate in known {
        let other: Vec<char> = self::plain(candidate).chars().collect();
        let limit =
            best.map_or(other.len().max(letters.len()) / 3, |(distance, _)| distance.saturating_sub(1));
        if let Some(distance) = distance_within(&letters, &other, limit) {
            best = Some((distance, candidate));
            if distance == 0 {
                break;
            }
        }
    }
    best.map(|(_, candidate)| candidate)
}

/// Small letters and digits, with single spaces where anything else was.
pub(crate) fn plain(text: &str) -> String {
    let words = text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
    words.map(str::to_lowercase).collect::<Vec<_>>().join(" ")
}

/// Letters to insert, remove or replace, if they are at most `limit`.
fn distance_within(a: &[char], b: &[char], limit: usize) -> Option<usize> {
    if a.len().abs_diff(b.len()) > limit {
        return None;
    }
    const FAR: usize = usize::MAX / 2;
    let mut row: Vec<usize> = (0..=b.len()).map(|j| if j <= limit { j } else { FAR }).collect();
    for i in 1..=a.len() {
        // Outside a band of `limit` around the diagonal the distance is above it.
        let band = i.saturating_sub(limit).max(1)..=b.len().min(i + limit);
        let (first, last) = (*band.start(), *band.end());
        let mut diagonal = row[first - 1];
        row[first - 1] = if first == 1 && i <= limit { i } else { FAR };
        for j in band {
            let replaced = diagonal + usize::from(a[i - 1] != b[j - 1]);
            diagonal = row[j];
            row[j] = replaced.min(row[j].min(row[j - 1]) + 1);
        }
        if last < b.len() {
            row[last + 1] = FAR;
        }
    }
    Some(row[b.len()]).filter(|&distance| distance <= limit)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn distance(a: &str, b: &str, limit: usize) -> Option<usize> {
        let letters = |text: &str| text.chars().collect::<Vec<_>>();
        distance_within(&letters(a), &letters(b), limit)
    }

    /// The whole table, without a band.
    fn slow(a: &[char], b: &[char]) -> usize {
        let mut table = vec![vec![0; b.len() + 1]; a.len() + 1];
        for i in 0..=a.len() {
            for j in 0..=b.len() {
                table[i][j] = match (i, j) {
                    (0, _) => j,
                    (_, 0) => i,
                    _ => (table[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]))
                        .min(table[i - 1][j] + 1)
                        .min(table[i][j - 1] + 1),
                };
            }
        }
        table[a.len()][b.len()]
    }

    #[test]
    fn the_band_changes_no_distance_within_it() {
        assert_eq!(distance("kitten", "sitting", 3), Some(3));
        assert_eq!(distance("kitten", "sitting", 2), None);
        assert_eq!(distance("", "", 0), Some(0));
        let mut state = 1u64;
        let mut letters = || -> Vec<char> {
            let mut next = || {
                state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
                (state >> 33) as usize
            };
            (0..next() % 9).map(|_| ['a', 'b', 'c'][next() % 3]).collect()
        };
        for _ in 0..2000 {
            let (a, b) = (letters(), letters());
            for limit in 0..10 {
                let expected = Some(slow(&a, &b)).filter(|&distance| distance <= limit);
                assert_eq!(distance_within(&a, &b, limit), expected, "{a:?} {b:?} {limit}");
            }
        }
    }

    #[test]
    fn the_nearest_is_near() {
        let known = ["scene", "color", "a red car, front view"];
        assert_eq!(nearest("colour", known), Some("color"));
        assert_eq!(nearest("A_red_car_front_view", known), Some("a red car, front view"));
        assert_eq!(nearest("something else", known), None);
    }
}
