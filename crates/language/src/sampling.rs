//! Which token comes next.

use vidit_data::Random;

/// The share of probability that is drawn from, the most probable tokens first (nucleus: Holtzman et al. 2020).
const NUCLEUS: f64 = 0.9;

/// How much less probable what was said becomes (Keskar et al. 2019, section 4.1, where 1.2 is advised). Small models go round in
/// circles without it.
const REPEATED: f32 = 1.15;
/// Written tokens that count as said, about two sentences: articles and the subject have to come back.
const REMEMBERED: usize = 48;

/// Makes tokens that were just written less probable.
pub fn discourage(logits: &mut [f32], written: &[u32]) {
    let mut recent = written[written.len().saturating_sub(REMEMBERED)..].to_vec();
    recent.sort_unstable();
    recent.dedup();
    for id in recent {
        let logit = &mut logits[id as usize];
        *logit = if *logit > 0.0 { *logit / REPEATED } else { *logit * REPEATED };
    }
}

/// Chooses a token; at temperature 0 the most probable, the first of equals.
pub fn choose(logits: &[f32], temperature: f32, random: &mut Random) -> u32 {
    let mut order: Vec<u32> = (0..logits.len() as u32).collect();
    let logit = |id: &u32| logits[*id as usize];
    order.sort_by(|a, b| logit(b).total_cmp(&logit(a)));
    if temperature <= 0.0 {
        return order[0];
    }
    let highest = logit(&order[0]);
    let weights: Vec<f64> =
        order.iter().map(|id| (f64::from(logit(id) - highest) / f64::from(temperature)).exp()).collect();
    let enough = NUCLEUS * weights.iter().sum::<f64>();
    let (mut count, mut total) = (0, 0.0);
    while count < weights.len() && total < enough {
        total += weights[count];
        count += 1;
    }
    let mut left = f64::from(random.unit()) * total;
    for (id, weight) in order[..count].iter().zip(&weights) {
        left -= weight;
        if left < 0.0 {
            return *id;
        }
    }
    order[count - 1]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of 4000 draws, three standard deviations of a share of one half.
    const SHARE_TOLERANCE: f64 = 0.024;

    #[test]
    fn at_rest_the_most_probable_is_chosen() {
        let mut random = Random::new(0, 0);
        assert_eq!(choose(&[0.1, 3.0, -2.0, 3.0], 0.0, &mut random), 1);
    }

    #[test]
    fn what_was_just_said_is_less_probable() {
        let mut logits = [2.3, -1.0, 1.0, 2.1];
        discourage(&mut logits, &[0, 1, 0]);
        assert_eq!(logits, [2.3 / REPEATED, -REPEATED, 1.0, 2.1]);
        // Twice said is no less probable than once; what was said long ago is forgotten.
        let mut written = vec![3; REMEMBERED];
        written.insert(0, 2);
        let mut logits = [1.0f32; 4];
        discourage(&mut logits, &written);
        assert_eq!(logits, [1.0, 1.0, 1.0, 1.0 / REPEATED]);
    }

    #[test]
    fn draws_follow_the_probabilities_within_the_nucleus() {
        // Probabilities 0.5, 0.3, 0.15, 0.05: the last lies outside of nine tenths.
        let logits = [0.05f32, 0.5, 0.15, 0.3].map(f32::ln);
        let mut random = Random::new(5, 0);
        let mut counts = [0usize; 4];
        for _ in 0..4000 {
            counts[choose(&logits, 1.0, &mut random) as usize] += 1;
        }
        assert_eq!(counts[0], 0);
        for (count, share) in counts[1..].iter().zip([0.5, 0.15, 0.3]) {
            assert!((*count as f64 / 4000.0 - share / 0.95).abs() < SHARE_TOLERANCE, "{counts:?}");
        }
        // Half the temperature squares them: 0.25, 0.09, …; the first two are above nine tenths.
        let cold: Vec<u32> = (0..200).map(|_| choose(&logits, 0.5, &mut random)).collect();
        assert!(cold.iter().all(|id| matches!(id, 1 | 3)), "{cold:?}");
    }

    #[test]
    fn a_seed_is_a_choice() {
        let logits: Vec<f32> = (0..50).map(|i| (i % 7) as f32 * 0.2).collect();
        let draws = |seed| {
            let mut random = Random::new(seed, 0);
            (0..20).map(|_| choose(&logits, 1.0, &mut random)).collect::<Vec<_>>()
        };
        assert_eq!(draws(3), draws(3));
        assert_ne!(draws(3), draws(4));
    }
}
