//! User inputs as a pipeline's variables, or as its inputs.

use std::borrow::Cow;
use std::fmt;

use secrecy::SecretString;
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;
use zeroize::Zeroizing;

use super::{TriggerOptions, ValidationError, payload, reserved_names, secret_input};
use crate::glint::run::Inputs;
use crate::json;

/// GitLab.com's limits for variables.
const MAX_VALUE_BYTES: usize = 120 * 1024;
const MAX_VARIABLES: usize = 1200;

/// Where the values come from: the sentences that refuse one name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Field {
    UserInputs,
    PipelineVariables,
}

impl Field {
    fn all(self) -> &'static str {
        match self {
            Self::UserInputs => "user inputs",
            Self::PipelineVariables => "variables in the action's `pipelineVariables`",
        }
    }
}

/// The value called `name`, as a sentence begins: written where there is something to refuse.
#[derive(Clone, Copy)]
pub struct Subject<'a> {
    pub field: Field,
    pub name: &'a str,
}

impl fmt::Display for Subject<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        let name = json::excerpt(self.name);
        match self.field {
            Field::UserInputs => write!(formatter, "the user input `{name}`"),
            Field::PipelineVariables => write!(formatter, "`{name}` of the action's `pipelineVariables`"),
        }
    }
}

/// Names and strings, as the members of an object.
struct Strings<'a>(&'a [(String, Zeroizing<String>)]);

impl Serialize for Strings<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, text)| (name, text.as_str())))
    }
}

/// What the pipeline is given of the user's inputs. Decrypted secrets lie in it: no `Debug` of the values, and they are wiped on drop.
pub enum UserInputs {
    /// `variables`: names and strings.
    Variables(Vec<(String, Zeroizing<String>)>),
    /// `inputs`: names and JSON.
    Inputs(Vec<(String, Zeroizing<String>)>),
}

impl fmt::Debug for UserInputs {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        formatter.debug_list().entries(self.pairs().iter().map(|(name, _)| name)).finish()
    }
}

impl UserInputs {
    /// Nothing at all, in the kind that `options` asks for.
    pub fn none(options: &TriggerOptions) -> Self {
        if options.inputs_as_inputs { Self::Inputs(Vec::new()) } else { Self::Variables(Vec::new()) }
    }

    /// Turns `inputs` into what GitLab takes, `secrets` of them decrypted.
    pub fn new(
        field: Field,
        inputs: &Inputs,
        secrets: &[String],
        options: &TriggerOptions,
        client_secret: &SecretString,
    ) -> Result<Self, ValidationError> {
        if inputs.len() > MAX_VARIABLES {
            return Err(ValidationError::new(
                format!("there are {} {}, more than the {MAX_VARIABLES} that GitLab takes", inputs.len(), field.all()),
                "set `omitUserInputs` in the action, or send fewer",
            ));
        }
        let mut values = Vec::with_capacity(inputs.len());
        for (name, value) in inputs {
            // `ref` chose the branch; as an input it would have to be declared by the pipeline.
            if options.inputs_as_inputs && field == Field::UserInputs && name == "ref" {
                continue;
            }
            if !options.inputs_as_inputs {
                reserved_names::validate(Subject { field, name }, &options.allow_variables)?;
            }
            let subject = Subject { field, name };
            let plain = if secrets.contains(name) { decrypt(subject, value, client_secret)? } else { None };
            let text = if options.inputs_as_inputs {
                to_input(subject, value, plain, options)?
            } else {
                to_variable(subject, value, plain, options)?
            };
            if text.len() > MAX_VALUE_BYTES {
                return Err(ValidationError::new(
                    format!("{subject} has {} bytes, more than the {MAX_VALUE_BYTES} that GitLab takes", text.len()),
                    "send less, or pass a link to it",
                ));
            }
            values.push((name.clone(), text));
        }
        Ok(if options.inputs_as_inputs { Self::Inputs(values) } else { Self::Variables(values) })
    }

    /// The body's member: always an object, since GitLab refuses `"variables": null`; no `inputs` at all where there are none.
    pub fn member(&self) -> Option<(&'static str, Cow<'static, str>)> {
        match self {
            Self::Variables(values) => Some(("variables", json::to_text(&Strings(values)).into())),
            Self::Inputs(values) if values.is_empty() => None,
            Self::Inputs(values) => {
                let pair = |(name, value): &(String, Zeroizing<String>)| [&json::quote(name), ":", value].concat();
                let pairs: Zeroizing<Vec<String>> = Zeroizing::new(values.iter().map(pair).collect());
                Some(("inputs", ["{", &Zeroizing::new(pairs.join(",")), "}"].concat().into()))
            }
        }
    }

    /// The values of those named in `secrets`, as GitLab may quote them. The shortest are left out: they would be found in
    /// every other word.
    pub fn secrets(&self, secrets: &[String]) -> Vec<SecretString> {
        const SHORTEST: usize = 4;
        let named = self.pairs().iter().filter(|(name, _)| secrets.contains(name));
        let plain = named.map(|(_, text)| match self {
            Self::Variables(_) => text.to_string(),
            Self::Inputs(_) => serde_json::from_str(text).unwrap_or_else(|_| text.to_string()),
        });
        // Doubled dollars are single ones again where GitLab expands them.
        let spellings = plain.flat_map(|text| [text.replace("$$", "$"), text]);
        spellings.filter(|text| text.len() >= SHORTEST).map(SecretString::from).collect()
    }

    fn pairs(&self) -> &[(String, Zeroizing<String>)] {
        match self {
            Self::Variables(values) | Self::Inputs(values) => values,
        }
    }
}

/// The plain text of a secret input. `None` where nothing was entered: Glint lists every input that is declared secret.
fn decrypt(
    subject: Subject<'_>,
    value: &RawValue,
    client_secret: &SecretString,
) -> Result<Option<Zeroizing<String>>, ValidationError> {
    if matches!(value.get(), "null" | "\"\"") {
        return Ok(None);
    }
    json::string(value).and_then(|sealed| secret_input::decrypt(&sealed, client_secret)).map(Some).ok_or_else(|| {
        ValidationError::new(
            match subject.field {
                Field::UserInputs => format!("the secret input `{}` cannot be decrypted", json::excerpt(subject.name)),
                Field::PipelineVariables => format!("{subject} is secret and cannot be decrypted"),
            },
            "the client secret that Glint encrypts with must be the one in the function's Glint secret, and the input's encryption `aes256-gcm`",
        )
    })
}

/// The value as the agent's `tostring` spells it: strings as they are, numbers in the digits sent, the rest as compact JSON.
fn to_variable(
    subject: Subject<'_>,
    value: &RawValue,
    plain: Option<Zeroizing<String>>,
    options: &TriggerOptions,
) -> Result<Zeroizing<String>, ValidationError> {
    let text = match plain {
        Some(plain) => plain,
        None => Zeroizing::new(match json::string(value) {
            Some(text) => text.into_owned(),
            None => compact(subject, value)?,
        }),
    };
    reject_nul(subject, &text)?;
    Ok(if options.escape_dollar { Zeroizing::new(text.replace('$', "$$")) } else { text })
}

/// The value as JSON of its own type. A secret of an object type decrypts to JSON, any other to a string.
fn to_input(
    subject: Subject<'_>,
    value: &RawValue,
    plain: Option<Zeroizing<String>>,
    options: &TriggerOptions,
) -> Result<Zeroizing<String>, ValidationError> {
    let text = match plain {
        Some(plain) if plain.starts_with(['{', '[']) && serde_json::from_str::<&RawValue>(&plain).is_ok() => plain,
        Some(plain) => Zeroizing::new(json::quote(&plain)),
        None => Zeroizing::new(compact(subject, value)?),
    };
    // Without the escaped backslashes, what still looks like an escape is one.
    reject_nul(subject, &Zeroizing::new(text.replace("\\\\", "").replace("\\u0000", "\0")))?;
    Ok(Zeroizing::new(payload::escape_dollars(text.as_str().into(), options.escape_dollar).into_owned()))
}

fn compact(subject: Subject<'_>, value: &RawValue) -> Result<String, ValidationError> {
    json::compact(value).map_err(|error| {
        ValidationError::new(
            format!("{subject} cannot be read: {error}"),
            "send valid text, and each member of an object once",
        )
    })
}

/// Neither GitLab's database nor a job's environment can hold one.
fn reject_nul(subject: Subject<'_>, text: &str) -> Result<(), ValidationError> {
    if !text.contains('\0') {
        return Ok(());
    }
    Err(ValidationError::new(format!("{subject} holds a NUL character, which no variable can"), "take it out"))
}
