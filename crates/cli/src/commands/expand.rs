//! `vidit expand`

use anyhow::anyhow;
use serde_json::json;
use vidit_data::{Expansion, Pack, expand};

use super::making::utf8;
use crate::args::Expand;
use crate::output;
use crate::report::{Failure, Outcome};

pub fn run(args: Expand) -> Outcome {
    let prompt = utf8("prompt", &args.prompt)?;
    if prompt.trim().is_empty() {
        return Err(Failure::usage(anyhow!("the prompt is empty\nhint: a word is enough, such as \"cat\"")));
    }
    let Expansion { language, text, object, added } = expand(&Pack::embedded(), &prompt, args.seed);
    if args.speech.json {
        let added: Vec<_> =
            added.iter().map(|added| json!({"what": added.what, "words": added.words})).collect();
        let told = json!({
            "prompt": prompt,
            "expanded": text,
            "language": language.code(),
            "object": object,
            "added": added,
        });
        return output::line(told.to_string());
    }
    if args.speech.quiet {
        return output::line(text);
    }
    let mut words = format!("{text}\n");
    for added in &added {
        words.push_str(&format!("  {}: {}\n", added.what, added.words));
    }
    if added.is_empty() {
        words.push_str("  nothing was left open\n");
    }
    output::print(words)
}
