//! CLIP's tokens of texts beside openai-clip's: `tokens_clip VOCABULARY FILE`, where each line of `FILE` is a JSON object of `text` and
//! `ids`, marks included.

use std::error::Error;

use serde_json::Value;
use vidit_backbones::clip::{Tokenizer, TooLong};

fn main() -> Result<(), Box<dyn Error>> {
    let [vocabulary, cases] = [1, 2].map(|i| std::env::args().nth(i).unwrap_or_default());
    let tokenizer = Tokenizer::new(&std::fs::read(vocabulary)?)?;
    let (mut count, mut wrong) = (0, 0);
    for line in std::fs::read_to_string(cases)?.lines() {
        let case: Value = serde_json::from_str(line)?;
        let text = case["text"].as_str().ok_or("`text` is missing")?;
        let expected: Vec<u32> = serde_json::from_value(case["ids"].clone())?;
        let found = tokenizer.encode(text, usize::MAX, TooLong::Refuse)?;
        count += 1;
        if found != expected {
            wrong += 1;
            println!("{text:?}: {found:?}, expected {expected:?}");
        }
    }
    println!("{count} texts, {} tokens in the vocabulary, {wrong} texts differ", tokenizer.vocabulary());
    Ok(())
}
