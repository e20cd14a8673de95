//! Parses the values of secrets, in every form in which consoles, pipes and editors leave them. Pure.
//!
//! White space, control characters, a BOM and zero-width spaces around a value are dropped, and a blank value is none.

use std::borrow::Cow;
use std::collections::BTreeMap;

use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use base64::prelude::BASE64_STANDARD;
use base64::{Engine as _, alphabet};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::value::RawValue;

use super::SecretError;
use crate::gitlab::types::{HookSecrets, Project};
use crate::glint::credentials::Credentials;
use crate::json::{self, Object};

/// A token, none where its place is blank, or what is wrong with what stands there.
pub type Token = Result<Option<SecretString>, &'static str>;

/// A secret of trigger tokens.
pub enum Tokens {
    /// By the projects' keys.
    Map(BTreeMap<String, Token>),
    One(SecretString),
}

impl Tokens {
    /// The project's token: `None` where there is none, an error that names key and secret `id` where it is no token.
    pub fn of(&self, project: &Project, id: &str) -> Result<Option<SecretString>, SecretError> {
        let map = match self {
            Self::One(token) => return Ok(Some(token.clone())),
            Self::Map(map) => map,
        };
        for name in spellings(project) {
            // As written, else in any letter case: GitLab's paths differ by more than that.
            let any_case = || map.iter().find(|(key, _)| key.eq_ignore_ascii_case(&name));
            match map.get_key_value(&name).or_else(any_case) {
                Some((_, Ok(Some(token)))) => return Ok(Some(token.clone())),
                Some((key, Err(what))) => {
                    return Err(SecretError::Unusable(format!("the token of `{key}` in the secret `{id}` {what}")));
                }
                _ => {}
            }
        }
        Ok(None)
    }
}

/// The keys under which a project's token may be: its path, then the agent's names for its environment variable, today's (only the group's
/// slashes become `_`) and the one before its version 0.5.0 (only the project's do).
fn spellings(project: &Project) -> [String; 3] {
    let (group, name) = (project.group(), project.name());
    [project.path(), format!("{}_{name}", group.replace('/', "_")), format!("{group}_{}", name.replace('/', "_"))]
}

pub fn parse_credentials(id: &str, text: &SecretString) -> Result<Credentials, SecretError> {
    let text = object_text(id, text)?;
    let object = parse_object(id, &text)?;
    let part = |name: &str| {
        let missing = || SecretError::Unusable(format!("the secret `{id}` has no `{name}`"));
        member(&object, name).ok_or_else(missing)
    };
    Ok(Credentials { client_id: part("clientId")?, client_secret: SecretString::from(part("clientSecret")?) })
}

/// A secret without a usable part proves no hook, and [`hook_secrets_fault`] says why.
pub fn parse_hook_secrets(id: &str, text: &SecretString) -> Result<HookSecrets, SecretError> {
    let text = object_text(id, text)?;
    let object = parse_object(id, &text)?;
    let part = |name: &str| member(&object, name).map(SecretString::from);
    Ok(HookSecrets { signing_token: part("signingToken").map(with_padding), token: part("token") })
}

/// What is wrong with the parts of the secret `id`.
pub fn hook_secrets_fault(id: &str, secrets: &HookSecrets) -> Option<String> {
    match secrets {
        HookSecrets { signing_token: Some(token), .. } if signing_key(token).is_none() => {
            Some(format!("the `signingToken` of the secret `{id}` is not `whsec_` with a key in base64"))
        }
        HookSecrets { signing_token: None, token: None } => {
            Some(format!("the secret `{id}` has neither a `signingToken` nor a `token`"))
        }
        _ => None,
    }
}

/// The signing token with its key in padded base64, however it was stored.
fn with_padding(token: SecretString) -> SecretString {
    match signing_key(&token) {
        Some(key) => SecretString::from(format!("whsec_{}", BASE64_STANDARD.encode(key))),
        None => token,
    }
}

fn signing_key(token: &SecretString) -> Option<Vec<u8>> {
    const LENIENT: GeneralPurposeConfig =
        GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
    let text = token.expose_secret();
    let encoded = text.strip_prefix("whsec_").unwrap_or(text);
    let decode = |alphabet| GeneralPurpose::new(alphabet, LENIENT).decode(encoded).ok();
    decode(&alphabet::STANDARD).or_else(|| decode(&alphabet::URL_SAFE)).filter(|key| !key.is_empty())
}

pub fn parse_token_map(id: &str, text: &SecretString) -> Result<Tokens, SecretError> {
    let text = object_text(id, text)?;
    let map = parse_object(id, &text)?;
    // A string may hold all that a secret of its own may.
    let token = |value: &RawValue| match json::string(value) {
        Some(text) => parse_token(&text),
        None if value.get().starts_with('{') => parse_token(value.get()),
        None if value.get() == "null" => Ok(None),
        None => Err("is no string"),
    };
    Ok(Tokens::Map(map.iter().map(|(key, value)| (trim(key).to_owned(), token(value))).collect()))
}

pub fn parse_one_token(id: &str, text: &SecretString) -> Result<Tokens, SecretError> {
    parse_single_token(id, text).map(Tokens::One)
}

pub fn parse_single_token(id: &str, text: &SecretString) -> Result<SecretString, SecretError> {
    match parse_token(text.expose_secret()) {
        Ok(Some(token)) => Ok(token),
        Ok(None) => Err(SecretError::NoValue(id.to_owned())),
        Err(what) => Err(SecretError::Unusable(format!("the secret `{id}` {what}"))),
    }
}

/// A token as it is, quoted as JSON, or as `{"token": "..."}`. Nothing else that is JSON is ever taken for a token.
fn parse_token(text: &str) -> Token {
    let text = trim(text);
    let token = match text.as_bytes().first() {
        None => return Ok(None),
        Some(b'{') => {
            let object = Object::parse(text).map_err(|_| "is not valid JSON")?;
            let value = object.get("token").ok_or("is JSON without a `token`")?;
            json::string(value).map(Cow::into_owned).ok_or("is JSON whose `token` is no string")?
        }
        Some(b'"') => serde_json::from_str(text).map_err(|_| "begins with a quote and is not valid JSON")?,
        Some(b'[') => return Err("is a JSON list, not a token"),
        Some(_) => return plain_token(text),
    };
    match trim(&token) {
        "" => Ok(None),
        // What was quoted may be the object that was meant.
        inner if inner.starts_with('{') && text.starts_with('"') => parse_token(inner),
        inner => plain_token(inner),
    }
}

fn plain_token(text: &str) -> Token {
    let is_quote = |character| matches!(character, '"' | '\'' | '`');
    if text.starts_with(is_quote) || text.ends_with(is_quote) {
        return Err("is in quotes");
    }
    if text.starts_with(['{', '[']) {
        return Err("is JSON within JSON, not a token");
    }
    if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err("holds white space or characters that no token has");
    }
    Ok(Some(SecretString::from(text)))
}

/// The text of a JSON object, which may be quoted as a JSON string.
fn object_text<'a>(id: &str, text: &'a SecretString) -> Result<Cow<'a, str>, SecretError> {
    let text = trim(text.expose_secret());
    if text.is_empty() {
        return Err(SecretError::NoValue(id.to_owned()));
    }
    let unquoted = text.starts_with('"').then(|| serde_json::from_str::<String>(text).ok()).flatten();
    Ok(unquoted.map_or(Cow::Borrowed(text), |text| Cow::Owned(trim(&text).to_owned())))
}

fn parse_object<'a>(id: &str, text: &'a str) -> Result<Object<'a>, SecretError> {
    Object::parse(text).map_err(|error| {
        // serde_json's own words may quote the text.
        let what = match error.classify() {
            _ if !text.starts_with('{') => "is not a JSON object".to_owned(),
            serde_json::error::Category::Data => "names something twice".to_owned(),
            _ => format!("is not valid JSON (line {}, column {})", error.line(), error.column()),
        };
        SecretError::Unusable(format!("the secret `{id}` {what}"))
    })
}

/// The member as text, unless it is blank.
fn member(object: &Object, name: &str) -> Option<String> {
    let text = object.string(name)?;
    Some(trim(&text)).filter(|text| !text.is_empty()).map(str::to_owned)
}

/// `text` without what editors, consoles and shells leave around a value.
fn trim(text: &str) -> &str {
    const INVISIBLE: [char; 5] = ['\u{feff}', '\u{200b}', '\u{200c}', '\u{200d}', '\u{2060}'];
    text.trim_matches(|character: char| {
        character.is_whitespace() || character.is_control() || INVISIBLE.contains(&character)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(text: &str) -> Result<Option<String>, &'static str> {
        parse_token(text).map(|token| token.map(|token| token.expose_secret().to_owned()))
    }

    #[test]
    fn a_token_is_read_in_every_form_that_people_store() {
        for text in [
            "glptt-1",
            "glptt-1\n",
            "\u{feff}glptt-1\r\n",
            "\u{200b} glptt-1\0",
            "\"glptt-1\"",
            "\"glptt-1\\n\"",
            r#"{"token": "glptt-1"}"#,
            r#" {"token": " glptt-1\n"} "#,
            r#""{\"token\": \"glptt-1\"}""#,
        ] {
            assert_eq!(token(text), Ok(Some("glptt-1".to_owned())), "{text:?}");
        }
    }

    #[test]
    fn blank_is_none_and_other_json_is_never_a_token() {
        for text in ["", " \n", "\u{feff}", "\"\"", r#"{"token": " "}"#] {
            assert_eq!(token(text), Ok(None), "{text:?}");
        }
        for text in [
            "{}",
            r#"{"clientId": "x", "clientSecret": "y"}"#,
            r#"{"token": 7}"#,
            r#"{"token": {"token": "x"}}"#,
            r#"["glptt-1"]"#,
            r#"{"token": "x""#,
            r#""glptt-1"#,
            "'glptt-1'",
            "Bearer glptt-1",
            r#""[1]""#,
        ] {
            assert!(token(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_signing_token_is_read_with_and_without_padding() {
        let read =
            |token: &str| parse_hook_secrets("x", &SecretString::from(format!(r#"{{"signingToken": "{token}"}}"#)));
        for token in ["whsec_YWI=", "whsec_YWI", "YWI=", " whsec_YWI\\n"] {
            let secrets = read(token).unwrap_or_else(|error| panic!("{token}: {error}"));
            assert_eq!(secrets.signing_token.as_ref().unwrap().expose_secret(), "whsec_YWI=");
            assert_eq!(hook_secrets_fault("x", &secrets), None);
        }
        for token in ["whsec_", "whsec_not base64", "whsec_é", "whsec_A", ""] {
            assert!(
                hook_secrets_fault("x", &read(token).unwrap_or_else(|error| panic!("{error}"))).is_some(),
                "{token}"
            );
        }
    }

    #[test]
    fn the_words_on_an_unusable_secret_never_quote_it() {
        for text in ["glptt-secret", r#"{"clientId": glptt-secret}"#, r#"{"a": "glptt-secret", "a": "glptt-secret"}"#] {
            let Err(error) = parse_credentials("x", &SecretString::from(text)) else { panic!("{text}") };
            assert!(!error.to_string().contains("glptt"), "{error}");
        }
    }
}
