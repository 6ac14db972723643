//! A teacher behind an OpenAI-compatible endpoint: llama.cpp's server, vLLM, or a hosted one.

use super::{Completion, Message, Teacher, TeacherError};
use serde_json::{Value, json};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// First pause before a request is tried again; each further one is twice as long.
const PAUSE: Duration = Duration::from_millis(500);
/// Longest pause, whatever the endpoint asks for.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// How an endpoint is asked.
#[derive(Clone, Debug)]
pub struct EndpointOptions {
    /// Up to `/v1`, such as `http://127.0.0.1:8080/v1`.
    pub url: String,
    /// Name of the model there.
    pub model: String,
    /// Sent as a bearer token.
    pub key: Option<String>,
    /// Requests at a time.
    pub parallel: usize,
    /// Most requests a minute; 0: no limit.
    pub per_minute: u32,
    /// How often a request is tried again.
    pub retries: u32,
    /// Longest time of one try.
    pub timeout: Duration,
}

/// An endpoint.
pub struct Endpoint {
    options: EndpointOptions,
    agent: ureq::Agent,
    /// When the next request may go out.
    next: Mutex<Instant>,
}

impl Endpoint {
    /// Says nothing to the endpoint yet.
    pub fn new(options: EndpointOptions) -> Endpoint {
        let config = ureq::Agent::config_builder()
            .timeout_global(Some(options.timeout))
            // An error's body says what is wrong.
            .http_status_as_error(false);
        Endpoint {
            agent: config.build().into(),
            options,
            next: Mutex::new(Instant::now()),
        }
    }

    /// Waits until the rate limit lets a request out.
    fn take_turn(&self) {
        if self.options.per_minute == 0 {
            return;
        }
        let apart = Duration::from_secs(60) / self.options.per_minute;
        let turn = {
            let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
            let turn = (*next).max(Instant::now());
            *next = turn + apart;
            turn
        };
        std::thread::sleep(turn.saturating_duration_since(Instant::now()));
    }

    /// One try.
    fn ask(&self, body: &Value) -> Result<Completion, Refused> {
        let url = format!(
            "{}/chat/completions",
            self.options.url.trim_end_matches('/')
        );
        let mut request = self
            .agent
            .post(&url)
            .header("Content-Type", "application/json");
        if let Some(key) = &self.options.key {
            request = request.header("Authorization", format!("Bearer {key}"));
        }
        let mut response = request
            .send(body.to_string())
            .map_err(|error| Refused::later(error.to_string()))?;
        let status = response.status().as_u16();
        let wait = response.headers().get("Retry-After");
        let wait = wait.and_then(|value| value.to_str().ok()?.parse().ok());
        let text = response
            .body_mut()
            .read_to_string()
            .map_err(|error| Refused::later(error.to_string()))?;
        if !(200..300).contains(&status) {
            // Timeout, too early, too many requests, and what the server could not do now.
            let again = matches!(status, 408 | 425 | 429 | 500..);
            return Err(Refused {
                message: format!("status {status}: {}", first_line(&text)),
                again,
                wait: wait.map(Duration::from_secs),
            });
        }
        let answer: Value = serde_json::from_str(&text).map_err(|error| {
            Refused::never(format!("{error} in the answer {:?}", first_line(&text)))
        })?;
        let content = &answer["choices"][0]["message"]["content"];
        let Some(content) = content.as_str() else {
            let answer = first_line(&text);
            return Err(Refused::never(format!(
                "no choices[0].message.content in the answer {answer:?}"
            )));
        };
        let tokens = |field: &str| answer["usage"][field].as_u64().unwrap_or(0);
        Ok(Completion {
            text: content.to_string(),
            prompt_tokens: tokens("prompt_tokens"),
            completion_tokens: tokens("completion_tokens"),
        })
    }
}

impl Teacher for Endpoint {
    fn answer(&self, messages: &[Message], most: usize) -> Result<Completion, TeacherError> {
        let body = json!({
            "model": self.options.model,
            "messages": messages,
            "max_tokens": most,
            "temperature": 0,
        });
        let mut pause = PAUSE;
        let mut tries = 0;
        loop {
            self.take_turn();
            let refused = match self.ask(&body) {
                Ok(completion) => return Ok(completion),
                Err(refused) => refused,
            };
            tries += 1;
            if !refused.again || tries > self.options.retries {
                return Err(TeacherError::Endpoint {
                    url: self.options.url.clone(),
                    message: match tries {
                        1 => refused.message,
                        tries => format!("{} (after {tries} tries)", refused.message),
                    },
                });
            }
            std::thread::sleep(refused.wait.unwrap_or(pause).min(LONGEST_PAUSE));
            pause *= 2;
        }
    }

    fn parallel(&self) -> usize {
        self.options.parallel.max(1)
    }
}

/// A try that gave no answer.
struct Refused {
    message: String,
    /// Whether another try may do better.
    again: bool,
    /// How long the endpoint asks to wait.
    wait: Option<Duration>,
}

impl Refused {
    fn later(message: String) -> Refused {
        Refused {
            message,
            again: true,
            wait: None,
        }
    }

    fn never(message: String) -> Refused {
        Refused {
            message,
            again: false,
            wait: None,
        }
    }
}

/// The beginning of a text, for an error of one line.
fn first_line(text: &str) -> String {
    text.lines()
        .next()
        .unwrap_or("")
        .chars()
        .take(200)
        .collect()
}
