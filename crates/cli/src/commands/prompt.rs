//! A prompt on its way from what was typed to what a video model is asked: as it is, expanded by the grammar, or rewritten by a
//! language model.

use std::ffi::OsString;

use anyhow::anyhow;
use vidit_data::Pack;
use vidit_language::Options;
use vidit_media::FrameRate;
use vidit_pipeline::{Request, RequestError};
use vidit_video::Frames;

use super::making::{Maker, Work, request, utf8};
use super::{expand, language, model};
use crate::args::{Making, Speech};
use crate::report::{Failure, Outcome};
use crate::{output, settings};

/// A prompt, and what is to become of it.
pub struct Prompt<'a> {
    making: &'a Making,
    /// What the video model is asked; as it was typed as long as a language model has not said it.
    text: String,
    /// As it was typed, where it was expanded or will be.
    asked: Option<String>,
}

impl<'a> Prompt<'a> {
    /// A prompt, checked as far as that goes without a clip; what the grammar makes of it is shown.
    pub fn read(making: &'a Making, prompt: &OsString) -> Result<Self, Failure> {
        let typed = utf8("prompt", prompt)?;
        if !making.expand {
            return Ok(Self { making, text: typed, asked: None });
        }
        expand::check(&typed, making.lm.is_some())?;
        let text = match &making.lm {
            Some(_) => typed.clone(),
            None => vidit_data::expand(&Pack::embedded(), &typed, making.seed.unwrap_or(0)).text,
        };
        let said = Self { making, text, asked: Some(typed) };
        if making.lm.is_none() {
            said.tell(&said.text, "")?;
        }
        Ok(said)
    }

    /// The same of a prompt that may be left out, of which there is nothing to expand then.
    pub fn read_optional(making: &'a Making, prompt: Option<&OsString>) -> Result<Self, Failure> {
        match prompt {
            Some(prompt) => Self::read(making, prompt),
            None if making.expand => Err(Failure::usage(anyhow!(
                "there is no prompt to expand\nhint: give one, or leave `--expand` out"
            ))),
            None => Ok(Self { making, text: String::new(), asked: None }),
        }
    }

    /// What the shared arguments ask for with this prompt.
    pub fn request(&self) -> Result<Request, Failure> {
        request(self.making, self.text.clone())
    }

    /// The same, checked as far as that goes without a clip.
    pub fn checked_request(&self) -> Result<Request, Failure> {
        let request = self.request()?;
        request.check(&model::limits()).map_err(Failure::usage)?;
        Ok(request)
    }

    /// As the user wrote it, where it is not what the video model is asked.
    pub fn asked(&self) -> Option<String> {
        self.asked.clone()
    }

    /// The request with the prompt as a language model says it, if one was named; what it changed is shown. Takes long: all that can
    /// be checked before should be.
    pub fn rewritten(&mut self, request: Request) -> Result<Request, Failure> {
        let Some(lm) = &self.making.lm else { return Ok(request) };
        let Speech { json, quiet } = self.making.speech;
        settings::apply(&self.making.network.compute)?;
        let options = Options { seed: self.making.seed.unwrap_or(0), ..Options::default() };
        let (_, said) = language::rewrite(lm, &request.prompt, &options, json || quiet)?;
        self.tell(&said.rewritten.text, &said.changes())?;
        self.text = said.rewritten.text;
        let request = Request { prompt: self.text.clone(), ..request };
        request.check(&model::limits()).map_err(|error| self.about(error.into()))?;
        Ok(request)
    }

    /// [`Work::run`], whose refusals may be of a prompt which the user did not write.
    pub fn run(
        &self,
        work: Work,
        fps: FrameRate,
        make: impl FnOnce(&mut Maker) -> Result<Frames, Failure> + Send,
    ) -> Outcome {
        work.run(fps, make).map_err(|failure| self.about(failure))
    }

    /// Shows what a prompt became, before the wait for its video; `changes` is whole lines.
    fn tell(&self, prompt: &str, changes: &str) -> Outcome {
        let Speech { json, quiet } = self.making.speech;
        if json || quiet { Ok(()) } else { output::print(format!("expanded: {prompt}\n{changes}")) }
    }

    /// A refusal that may be of a prompt which the user did not write.
    pub fn about(&self, failure: Failure) -> Failure {
        match failure {
            Failure::Usage(error) if self.making.lm.is_some() && is_of_prompt(&error) => {
                Failure::Usage(error.context(format!(
                    "the video model refuses what the language model made of the prompt: `{}`\n\
                     hint: without `--lm`, `--expand` says what is left open in words that `mini` knows",
                    self.text
                )))
            }
            failure => failure,
        }
    }
}

fn is_of_prompt(error: &anyhow::Error) -> bool {
    matches!(
        error.downcast_ref::<RequestError>(),
        Some(
            RequestError::EmptyPrompt
                | RequestError::NoWords
                | RequestError::PromptBytes { which: "prompt", .. }
                | RequestError::PromptTokens { which: "prompt", .. }
                | RequestError::ControlCharacter { which: "prompt", .. }
        )
    )
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::args::{Args, Command};

    #[test]
    fn a_language_model_is_named_where_its_prompt_is_refused_and_only_there() {
        let making = |words: &[&str]| match Args::parse_from(words).command {
            Command::Generate(args) => args.making,
            _ => unreachable!("the words ask for it"),
        };
        let with = making(&["vidit", "generate", "a cat", "--expand", "--lm", "tiny"]);
        let without = making(&["vidit", "generate", "a cat"]);
        let said = |making, error: RequestError| {
            let prompt = Prompt::read(making, &"a cat".into()).unwrap();
            match prompt.about(error.into()) {
                Failure::Usage(error) => error.to_string(),
                other => panic!("{other:?}"),
            }
        };
        let long = RequestError::PromptTokens { which: "prompt", found: 99, limit: 64 };
        assert!(said(&with, long.clone()).contains("refuses what the language model made"));
        assert_eq!(said(&without, long.clone()), long.to_string());
        for other in [
            RequestError::NoBoxAdapter,
            RequestError::PromptTokens { which: "negative prompt", found: 99, limit: 64 },
        ] {
            assert_eq!(said(&with, other.clone()), other.to_string());
        }
    }
}
