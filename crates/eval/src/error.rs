use vidit_weights::WeightsError;

/// Why an evaluation came to no result.
#[derive(Debug, thiserror::Error)]
pub enum EvalError {
    /// The binary was built without the judge.
    #[error(
        "this build has no judge\nhint: train one with configs/mini-judge.toml, put its `judge.safetensors` at assets/mini/judge.safetensors and build again"
    )]
    NotEmbedded,
    /// The judge's weights.
    #[error(transparent)]
    Weights(#[from] WeightsError),
    /// The judge was trained on other objects.
    #[error(
        "the judge knows {found} objects, the pack has {expected}, first difference `{object}`\nhint: train the judge again with configs/mini-judge.toml"
    )]
    Objects {
        /// Objects of the pack.
        expected: usize,
        /// Objects of the judge.
        found: usize,
        /// The first that only one of them has.
        object: String,
    },
    /// Making a clip failed.
    #[error("no clip for the prompt `{prompt}`: {source}")]
    Generate {
        /// The prompt.
        prompt: String,
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// Encoding and decoding a clip failed.
    #[error("cannot reconstruct a real clip of `{object}`: {source}")]
    Reconstruct {
        /// What the clip shows.
        object: String,
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A reconstruction has another shape than the clip.
    #[error("a reconstruction must have the shape of its clip, {expected}; found {found}")]
    Shape {
        /// The clip's.
        expected: String,
        /// The reconstruction's.
        found: String,
    },
    /// No prompts were asked for.
    #[error(
        "an evaluation needs at least 1 prompt, found a limit of `0`\nhint: leave the limit out for all 300"
    )]
    NoPrompts,
    /// Stopped from outside.
    #[error("the evaluation was interrupted after {done} of {total} prompts; nothing is reported of a part")]
    Interrupted {
        /// Prompts done.
        done: usize,
        /// Prompts in all.
        total: usize,
    },
}
