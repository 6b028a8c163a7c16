//! `vidit expand`

use std::ffi::OsStr;

use anyhow::anyhow;
use serde_json::json;
use vidit_data::{Expansion, Pack, expand, knows_a_word};
use vidit_language::{ChangeKind, Options};
use vidit_pipeline::{Request, RequestError};

use super::making::utf8;
use super::{language, model};
use crate::args::Expand;
use crate::output;
use crate::report::{Failure, Outcome};

pub fn run(args: Expand) -> Outcome {
    let prompt = utf8("prompt", &args.prompt)?;
    check(&prompt, args.lm.is_some())?;
    match &args.lm {
        Some(lm) => by_language_model(&args, &prompt, lm),
        None => by_grammar(&args, &prompt),
    }
}

/// Whether there is something to expand, for a language model or for the grammar.
pub fn check(prompt: &str, by_language_model: bool) -> Outcome {
    Request::new(prompt).check(&model::limits()).map_err(Failure::usage)?;
    if !prompt.chars().any(char::is_alphanumeric) {
        return Err(Failure::usage(RequestError::NoWords));
    }
    match by_language_model || knows_a_word(&Pack::embedded(), prompt) {
        true => Ok(()),
        false => Err(Failure::usage(anyhow!(
            "to be expanded, a prompt must be in English, Chinese or Arabic and hold a word that `mini` knows, found `{prompt}`\nhint: name \
             an object, such as \"a red car\", or let a language model expand it, with `--lm`"
        ))),
    }
}

fn by_grammar(args: &Expand, prompt: &str) -> Outcome {
    let Expansion { language, text, object, added } = expand(&Pack::embedded(), prompt, args.seed);
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

fn by_language_model(args: &Expand, prompt: &str, lm: &OsStr) -> Outcome {
    let options =
        Options { seed: args.seed, temperature: args.temperature, tokens_max: args.max_tokens as usize };
    let (model, said) = language::rewrite(lm, prompt, &options, args.speech.json || args.speech.quiet)?;
    let rewritten = &said.rewritten;
    let (architecture, quantisation) = (model.config().architecture.name(), model.quantisation());
    let seconds = (said.writing.as_secs_f64() * 1000.0).round() / 1000.0;
    if args.speech.json {
        let runs = |kind| {
            let runs = said.words(kind).into_iter();
            runs.map(|words| json!({"what": "words", "words": words})).collect::<Vec<_>>()
        };
        let told = json!({
            "prompt": prompt,
            "expanded": rewritten.text,
            "language": rewritten.language.code(),
            "lm": {
                "path": model.path().display().to_string(),
                "architecture": architecture,
                "quantisation": quantisation,
            },
            "added": runs(ChangeKind::Added),
            "removed": runs(ChangeKind::Removed),
            "tokens": rewritten.tokens,
            "cut": rewritten.cut,
            "seconds": seconds,
        });
        return output::line(told.to_string());
    }
    if args.speech.quiet {
        return output::line(&rewritten.text);
    }
    let cut = if rewritten.cut { ", cut after the last whole sentence" } else { "" };
    output::print(format!(
        "{}\n{}  {} ({architecture}, {quantisation}): {} tokens in {seconds:.1} s{cut}\n",
        rewritten.text,
        said.changes(),
        model.path().display(),
        rewritten.tokens,
    ))
}
