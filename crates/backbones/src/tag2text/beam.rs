//! Beam search as transformers 4.33.2 has it, without a penalty of repetition: the best of several texts, each grown token by token.

use rayon::prelude::*;

/// How far, and how many at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Beams {
    /// Texts that grow side by side.
    pub count: usize,
    /// Tokens before which a text does not end, those of the prompt among them.
    pub length_min: usize,
    /// Tokens at which every text ends, those of the prompt among them.
    pub length_max: usize,
}

/// What a network says of the token that follows a text.
struct Row<'a> {
    /// Which of all rows this is.
    number: usize,
    logits: &'a [f32],
    log_sum_exp: f32,
}

/// What is asked of a network.
pub(super) enum Step<'a> {
    /// What follows the prompt, once for every sample: logits `[samples, V]`.
    First,
    /// What follows these `tokens`, each behind the text `from[i]` of the step before: logits `[texts, V]`. Texts of a sample lie side by
    /// side; samples that are done have none.
    Next { from: &'a [usize], tokens: &'a [usize] },
}

/// A text that grows, and the sum of the logarithms of its tokens' probabilities.
struct Text {
    tokens: Vec<usize>,
    sum: f32,
}

/// One sample's texts.
struct Sample {
    index: usize,
    growing: Vec<Text>,
    /// Where each growing text was in the step before.
    from: Vec<usize>,
    ended: Ended,
}

/// The best texts that ended, with their scores: the sum divided by the tokens before the end.
struct Ended {
    texts: Vec<(f64, Vec<usize>)>,
    count_max: usize,
    worst: f64,
}

impl Ended {
    fn add(&mut self, tokens: &[usize], sum: f32) {
        let score = sum as f64 / tokens.len() as f64;
        if self.texts.len() >= self.count_max && score <= self.worst {
            return;
        }
        self.texts.push((score, tokens.to_vec()));
        if self.texts.len() <= self.count_max {
            self.worst = self.worst.min(score);
            return;
        }
        // The earlier of equals goes.
        let lowest = |texts: &[(f64, Vec<usize>)]| {
            (0..texts.len()).min_by(|a, b| texts[*a].0.total_cmp(&texts[*b].0)).unwrap_or(0)
        };
        self.texts.remove(lowest(&self.texts));
        self.worst = self.texts[lowest(&self.texts)].0;
    }

    /// Whether no growing text can do better: `best` is the largest sum of the candidates of `length` tokens. A text that grows on may
    /// do better after all; this is the official heuristic (`early_stopping=False`).
    fn is_enough(&self, best: f32, length: usize) -> bool {
        self.texts.len() >= self.count_max && self.worst >= best as f64 / length as f64
    }

    /// The last of equals.
    fn best(self) -> Vec<usize> {
        let best = self.texts.into_iter().max_by(|a, b| a.0.total_cmp(&b.0));
        best.map(|(_, tokens)| tokens).unwrap_or_default()
    }
}

/// The best text of each sample, beginning with the prompt and without the token `end`. `predict` gives logits, rows of `V` values.
///
/// # Errors
/// The first of `predict`.
///
/// # Panics
/// If the vocabulary has no more than twice as many tokens as there are beams, or logits are none of its rows.
pub(super) fn search<E>(
    beams: Beams,
    prompt: &[usize],
    end: usize,
    [samples, vocabulary]: [usize; 2],
    mut predict: impl FnMut(Step) -> Result<Vec<f32>, E>,
) -> Result<Vec<Vec<usize>>, E> {
    assert!(vocabulary > 2 * beams.count && beams.count > 0, "{beams:?} of {vocabulary} tokens");
    let mut best = vec![Vec::new(); samples];
    let mut active: Vec<Sample> = (0..samples)
        .map(|index| Sample {
            index,
            growing: vec![Text { tokens: prompt.to_vec(), sum: 0.0 }],
            from: Vec::new(),
            ended: Ended { texts: Vec::new(), count_max: beams.count, worst: 1e9 },
        })
        .collect();
    let mut logits = if samples == 0 { Vec::new() } else { predict(Step::First)? };
    for length in prompt.len().. {
        let shifts: Vec<f32> = logits.par_chunks_exact(vocabulary).map(log_sum_exp).collect();
        let mut rows = logits.chunks_exact(vocabulary).zip(&shifts).enumerate();
        active.retain_mut(|sample| {
            let texts = rows.by_ref().take(sample.growing.len());
            let texts: Vec<Row> = texts
                .map(|(number, (logits, log_sum_exp))| Row { number, logits, log_sum_exp: *log_sum_exp })
                .collect();
            assert_eq!(texts.len(), sample.growing.len(), "logits are [texts, V]");
            let barred = (length < beams.length_min).then_some(end);
            let done = sample.grow(beams.count, end, barred, &texts);
            if done {
                best[sample.index] = std::mem::replace(&mut sample.ended, Ended::none()).best();
            }
            !done
        });
        if active.is_empty() || length + 1 >= beams.length_max {
            break;
        }
        let from: Vec<usize> = active.iter().flat_map(|sample| &sample.from).copied().collect();
        let texts = active.iter().flat_map(|sample| &sample.growing);
        let tokens: Vec<usize> = texts.map(|text| text.tokens[length]).collect();
        logits = predict(Step::Next { from: &from, tokens: &tokens })?;
    }
    for mut sample in active {
        for text in &sample.growing {
            sample.ended.add(&text.tokens, text.sum);
        }
        best[sample.index] = sample.ended.best();
    }
    Ok(best)
}

impl Ended {
    fn none() -> Self {
        Self { texts: Vec::new(), count_max: 0, worst: 0.0 }
    }
}

impl Sample {
    /// One token more for each text, of `rows` of logits and their numbers; says whether the sample is done.
    fn grow(&mut self, count: usize, end: usize, barred: Option<usize>, rows: &[Row]) -> bool {
        let candidates = self.candidates(2 * count, barred, rows);
        let length = self.growing[0].tokens.len();
        let mut growing = Vec::with_capacity(count);
        self.from.clear();
        for (rank, &(sum, text, token)) in candidates.iter().enumerate() {
            if token == end {
                // An end that others surpass is none.
                if rank < count {
                    self.ended.add(&self.growing[text].tokens, sum);
                }
                continue;
            }
            let mut tokens = self.growing[text].tokens.clone();
            tokens.push(token);
            growing.push(Text { tokens, sum });
            self.from.push(rows[text].number);
            if growing.len() == count {
                break;
            }
        }
        self.growing = growing;
        self.ended.is_enough(candidates[0].0, length + 1)
    }

    /// The `count` most probable texts one token longer, best first: sum, number of the text, token.
    fn candidates(&self, count: usize, barred: Option<usize>, rows: &[Row]) -> Vec<(f32, usize, usize)> {
        let mut best: Vec<(f32, usize, usize)> = Vec::with_capacity(count + 1);
        for (text, row) in rows.iter().enumerate() {
            let tokens = row.logits.iter().enumerate();
            for (token, logit) in tokens.filter(|(token, _)| Some(*token) != barred) {
                let sum = logit - row.log_sum_exp + self.growing[text].sum;
                if best.len() < count || best.last().is_some_and(|worst| sum > worst.0) {
                    let place = best.partition_point(|other| other.0 >= sum);
                    best.insert(place, (sum, text, token));
                    best.truncate(count);
                }
            }
        }
        best
    }
}

/// The logarithm of the sum of exponentials.
fn log_sum_exp(row: &[f32]) -> f32 {
    let maximum = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let total: f64 = row.iter().map(|value| (value - maximum).exp() as f64).sum();
    maximum + total.ln() as f32
}
