//! Turns of a conversation as tokens. The templates that models carry are programs, which are not run: three forms are
//! known, and which of them a model was taught shows in the marks that its template writes, or without one in its
//! vocabulary. Typed text never becomes a special token.

use tokenizers::Tokenizer;

use crate::LanguageError;

/// Who says what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Turn {
    /// Who.
    pub role: Role,
    /// What.
    pub text: String,
}

/// A side of a conversation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Instructions.
    System,
    /// The person.
    User,
    /// The model.
    Assistant,
}

impl Role {
    fn name(self) -> &'static str {
        match self {
            Self::System => "system",
            Self::User => "user",
            Self::Assistant => "assistant",
        }
    }
}

/// A form of conversation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// ChatML: SmolLM2, Qwen.
    ChatMl,
    /// Headers: Llama 3.
    Llama3,
    /// `[INST]`: Llama 2.
    Llama2,
}

impl Form {
    /// The form of a template; nothing if it is of none.
    fn of_template(template: &str) -> Option<Self> {
        let forms =
            [("<|im_start|>", Self::ChatMl), ("<|start_header_id|>", Self::Llama3), ("[INST]", Self::Llama2)];
        forms.into_iter().find(|(mark, _)| template.contains(mark)).map(|(_, form)| form)
    }

    /// The form of a vocabulary that comes without a template.
    fn of_vocabulary(tokenizer: &Tokenizer) -> Self {
        let has = |token: &str| tokenizer.token_to_id(token).is_some();
        match (has("<|im_start|>"), has("<|start_header_id|>")) {
            (true, _) => Self::ChatMl,
            (_, true) => Self::Llama3,
            _ => Self::Llama2,
        }
    }
}

/// How a model is spoken to.
#[derive(Clone, Debug)]
pub struct Chat {
    form: Form,
    /// Opens the text.
    begin: Option<u32>,
    /// Ends an answer.
    ends: Vec<u32>,
    /// Whether the model thinks aloud unless it is told that it has.
    thinks: bool,
}

/// Special tokens that end an answer, where a vocabulary has them.
const ENDS: [&str; 5] = ["<|im_end|>", "<|eot_id|>", "<|endoftext|>", "<|end_of_text|>", "</s>"];

impl Chat {
    /// How the model with this tokenizer is spoken to; nothing if its template is of no form that we know. `begin` opens a
    /// text if `begins`, or where that is not known and the form has it so.
    pub fn new(
        tokenizer: &Tokenizer,
        begin: Option<u32>,
        begins: Option<bool>,
        ends: &[u32],
        template: Option<&str>,
    ) -> Option<Self> {
        let form = template.map_or_else(|| Some(Form::of_vocabulary(tokenizer)), Form::of_template)?;
        let mut ends = ends.to_vec();
        ends.extend(ENDS.into_iter().filter_map(|token| tokenizer.token_to_id(token)));
        Some(Self {
            form,
            begin: begin.filter(|_| begins.unwrap_or(form != Form::ChatMl)),
            ends,
            // Qwen3's template has this switch; that of its later instruct models, which do not think, has not.
            thinks: template.is_some_and(|template| template.contains("enable_thinking")),
        })
    }

    /// Whether a token ends the answer.
    pub fn ends(&self, token: u32) -> bool {
        self.ends.contains(&token)
    }

    /// The turns as tokens, up to where the model's answer begins.
    ///
    /// # Errors
    /// If the tokenizer cannot cut a text.
    pub fn tokens(&self, tokenizer: &Tokenizer, turns: &[Turn]) -> Result<Vec<u32>, LanguageError> {
        let mut tokens = Written { tokenizer, tokens: self.begin.into_iter().collect() };
        match self.form {
            Form::ChatMl => {
                for turn in turns {
                    tokens.special("<|im_start|>");
                    tokens.text(&format!("{}\n{}", turn.role.name(), turn.text))?;
                    tokens.special("<|im_end|>");
                    tokens.text("\n")?;
                }
                tokens.special("<|im_start|>");
                tokens.text("assistant\n")?;
                if self.thinks {
                    tokens.special("<think>");
                    tokens.text("\n\n")?;
                    tokens.special("</think>");
                    tokens.text("\n\n")?;
                }
            }
            Form::Llama3 => {
                for turn in turns {
                    tokens.head(turn.role)?;
                    tokens.text(&format!("\n\n{}", turn.text))?;
                    tokens.special("<|eot_id|>");
                }
                tokens.head(Role::Assistant)?;
                tokens.text("\n\n")?;
            }
            Form::Llama2 => {
                let mut system = String::new();
                for turn in turns {
                    match turn.role {
                        Role::System => system = format!("<<SYS>>\n{}\n<</SYS>>\n\n", turn.text),
                        Role::User => {
                            let system = std::mem::take(&mut system);
                            tokens.text(&format!("[INST] {system}{} [/INST]", turn.text))?;
                        }
                        // Each exchange is a text of its own.
                        Role::Assistant => {
                            tokens.text(&format!(" {} ", turn.text))?;
                            tokens.special("</s>");
                            tokens.tokens.extend(self.begin);
                        }
                    }
                }
            }
        }
        Ok(tokens.tokens)
    }
}

struct Written<'a> {
    tokenizer: &'a Tokenizer,
    tokens: Vec<u32>,
}

impl Written<'_> {
    /// A special token, if the vocabulary has it.
    fn special(&mut self, token: &str) {
        self.tokens.extend(self.tokenizer.token_to_id(token));
    }

    /// The header of a turn of Llama 3.
    fn head(&mut self, role: Role) -> Result<(), LanguageError> {
        self.special("<|start_header_id|>");
        self.text(role.name())?;
        self.special("<|end_header_id|>");
        Ok(())
    }

    fn text(&mut self, text: &str) -> Result<(), LanguageError> {
        let encoding = self.tokenizer.encode_fast(text, false);
        let encoding = encoding.map_err(|error| LanguageError::Compute(crate::error::first_line(&error)))?;
        self.tokens.extend(encoding.get_ids());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tokenizer::{Pieces, tokenizer};

    /// A tokenizer of single bytes and these special tokens.
    fn bytes_and(special: &[&str]) -> Tokenizer {
        let mut tokens: Vec<String> = ('!'..='~').map(String::from).collect();
        tokens.extend(["Ġ", "Ċ"].map(str::to_owned));
        tokens.extend(special.iter().map(|token| (*token).to_owned()));
        let special = special.iter().map(|token| (*token).to_owned()).collect();
        let pieces = Pieces { tokens, merges: Vec::new(), special, whole: Vec::new() };
        let mut tokenizer = tokenizer(pieces, Some("gpt-2")).unwrap();
        tokenizer.set_encode_special_tokens(true);
        tokenizer
    }

    fn turns(user: &str) -> Vec<Turn> {
        [(Role::System, "Be brief."), (Role::User, "hi"), (Role::Assistant, "ho"), (Role::User, user)]
            .map(|(role, text)| Turn { role, text: text.to_owned() })
            .to_vec()
    }

    #[test]
    fn turns_are_written_as_each_family_learned_them() {
        let special = ["<|im_start|>", "<|im_end|>", "<|endoftext|>"];
        let tokenizer = bytes_and(&special);
        let begin = tokenizer.token_to_id("<|im_start|>");
        let chat = Chat::new(&tokenizer, begin, None, &[], None).unwrap();
        let text = |tokens: &[u32]| tokenizer.decode(tokens, false).unwrap();
        assert_eq!(
            text(&chat.tokens(&tokenizer, &turns("go")).unwrap()),
            "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\nho<|im_end|>\n\
             <|im_start|>user\ngo<|im_end|>\n<|im_start|>assistant\n"
        );
        assert!(chat.ends(tokenizer.token_to_id("<|im_end|>").unwrap()) && !chat.ends(begin.unwrap()));

        let special = ["<|begin_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"];
        let tokenizer = bytes_and(&special);
        let begin = tokenizer.token_to_id("<|begin_of_text|>");
        let chat = Chat::new(&tokenizer, begin, None, &[], None).unwrap();
        let tokens = chat.tokens(&tokenizer, &turns("go")[2..]).unwrap();
        assert_eq!(
            tokenizer.decode(&tokens, false).unwrap(),
            "<|begin_of_text|><|start_header_id|>assistant<|end_header_id|>\n\nho<|eot_id|>\
             <|start_header_id|>user<|end_header_id|>\n\ngo<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n"
        );

        let tokenizer = bytes_and(&["<s>", "</s>"]);
        let chat = Chat::new(&tokenizer, tokenizer.token_to_id("<s>"), None, &[], None).unwrap();
        let tokens = chat.tokens(&tokenizer, &turns("go")).unwrap();
        assert_eq!(
            tokenizer.decode(&tokens, false).unwrap(),
            "<s>[INST] <<SYS>>\nBe brief.\n<</SYS>>\n\nhi [/INST] ho </s><s>[INST] go [/INST]"
        );
    }

    #[test]
    fn files_say_whether_texts_are_opened_and_models_think() {
        let tokenizer = bytes_and(&["<|im_start|>", "<|im_end|>", "<s>", "<think>", "</think>"]);
        let begin = tokenizer.token_to_id("<s>");
        let text = |chat: Option<Chat>| {
            let tokens = chat.unwrap().tokens(&tokenizer, &turns("go")[3..]).unwrap();
            tokenizer.decode(&tokens, false).unwrap()
        };
        let turn = "<|im_start|>user\ngo<|im_end|>\n<|im_start|>assistant\n";
        assert_eq!(text(Chat::new(&tokenizer, begin, Some(true), &[], None)), format!("<s>{turn}"));
        assert_eq!(text(Chat::new(&tokenizer, begin, Some(false), &[], None)), turn);
        let template = Some("{{ '<|im_start|>user' }}{% if enable_thinking is false %}");
        let silent = format!("{turn}<think>\n\n</think>\n\n");
        assert_eq!(text(Chat::new(&tokenizer, begin, None, &[], template)), silent);
        // What a template writes goes before what the vocabulary could.
        let template = Some("{{ bos_token + '[INST] ' + content + ' [/INST]' }}");
        assert_eq!(text(Chat::new(&tokenizer, begin, None, &[], template)), "<s>[INST] go [/INST]");
        assert!(Chat::new(&tokenizer, begin, None, &[], Some("{{ '<|user|>' }}")).is_none());
    }

    #[test]
    fn typed_text_never_becomes_a_special_token() {
        let tokenizer = bytes_and(&["<|im_start|>", "<|im_end|>"]);
        let chat = Chat::new(&tokenizer, None, None, &[], None).unwrap();
        let tokens = chat.tokens(&tokenizer, &turns("a<|im_end|>b")[3..]).unwrap();
        let end = tokenizer.token_to_id("<|im_end|>").unwrap();
        assert_eq!(tokens.iter().filter(|token| **token == end).count(), 1);
        assert!(tokenizer.decode(&tokens, false).unwrap().contains("a<|im_end|>b<|im_end|>"));
    }
}
