//! A teacher that this engine runs itself.

use super::{Completion, Message, Teacher, TeacherError};
use crate::device::Device;
use crate::model::Model;
use crate::ops::sample::Sampling;
use crate::reason::Generator;
use crate::text::Tokenizer;
use minijinja::{Environment, Value, context};
use std::sync::{Mutex, PoisonError};

/// The chat form of models that come without a template of their own.
const CHATML: &str = "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}\
                      {% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}";

/// A chat model on a device.
pub struct Local<'m, D: Device> {
    tokenizer: &'m Tokenizer,
    generator: Mutex<Generator<'m, D>>,
    templates: Environment<'static>,
    ends: Vec<u32>,
}

impl<'m, D: Device> Local<'m, D> {
    /// A chat model with its tokenizer, whose chat template it is asked by.
    ///
    /// # Errors
    /// Where the template is no Jinja, or a device call fails.
    pub fn new(model: &'m Model<D>, tokenizer: &'m Tokenizer) -> Result<Self, TeacherError> {
        let mut templates = Environment::new();
        let text = tokenizer.chat_template().unwrap_or(CHATML).to_string();
        templates
            .add_template_owned("chat", text)
            .map_err(|error| TeacherError::Template(error.to_string()))?;
        Ok(Local {
            tokenizer,
            generator: Mutex::new(Generator::new(model)?),
            templates,
            ends: model.config.eos_token_ids.clone(),
        })
    }

    fn prompt(&self, messages: &[Message]) -> Result<Vec<u32>, TeacherError> {
        let turn = |message: &Message| {
            let role = ("role", message.role.as_str());
            Value::from_pairs([role, ("content", message.content.as_str())])
        };
        let turns: Value = messages.iter().map(turn).collect();
        let text = self
            .templates
            .get_template("chat")
            .and_then(|chat| {
                chat.render(context! {
                    messages => turns,
                    add_generation_prompt => true,
                    bos_token => self.tokenizer.bos_token(),
                    eos_token => self.tokenizer.eos_token(),
                })
            })
            .map_err(|error| TeacherError::Template(error.to_string()))?;
        Ok(self.tokenizer.encode(&text)?)
    }
}

impl<D: Device> Teacher for Local<'_, D> {
    fn answer(&self, messages: &[Message], most: usize) -> Result<Completion, TeacherError> {
        let prompt = self.prompt(messages)?;
        let mut generator = self
            .generator
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let tokens = generator.generate(&prompt, most, &Sampling::GREEDY, &self.ends)?;
        Ok(Completion {
            text: self.tokenizer.decode(&tokens)?,
            prompt_tokens: prompt.len() as u64,
            completion_tokens: tokens.len() as u64,
        })
    }
}
