//! Takes secrets out of foreign words: the last line of defence, not the first.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use secrecy::{ExposeSecret as _, SecretString};

const MASK: &str = "[redacted]";
/// This much of a secret is enough to give it away.
const TELLING: usize = 8;
/// The longest text of an upstream that is passed on.
const LONGEST: usize = 500;

/// How secrets of GitLab, its hooks and Glint's logins begin.
const PREFIXES: [&str; 8] = ["glptt-", "glpat-", "gldt-", "glcbt-", "glrt-", "glsoat-", "whsec_", "eyJ"];

/// What an upstream said, fit to be shown: one line of at most 500 characters, without control characters and without `secrets`.
pub fn shown(words: &str, secrets: &[&SecretString]) -> String {
    let masked = masked(words, secrets);
    let line: Vec<&str> = masked
        .split(|character: char| character.is_control() || character.is_whitespace())
        .filter(|word| !word.is_empty())
        .collect();
    let line = line.join(" ");
    match line.char_indices().nth(LONGEST) {
        Some((end, _)) => line[..line[..end].char_indices().last().map_or(0, |(last, _)| last)].to_owned() + "…",
        None => line,
    }
}

/// `text` with every known secret, in whatever spelling, and everything that looks like a token replaced.
pub fn masked(text: &str, secrets: &[&SecretString]) -> String {
    let mut out = text.to_owned();
    for secret in secrets {
        for spelling in spellings(secret.expose_secret()) {
            out = without(&out, &spelling);
        }
    }
    PREFIXES.iter().fold(out, |out, prefix| without_token(out, prefix))
}

/// The forms in which an upstream may echo a secret.
fn spellings(secret: &str) -> Vec<String> {
    let percent = secret
        .bytes()
        .map(|byte| {
            if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
                char::from(byte).to_string()
            } else {
                format!("%{byte:02X}")
            }
        })
        .collect();
    let json = crate::json::quote(secret);
    vec![secret.to_owned(), percent, json.trim_matches('"').to_owned(), BASE64_STANDARD.encode(secret)]
}

/// `text` without `secret`, or the beginning of it where only that was echoed.
fn without(text: &str, secret: &str) -> String {
    let Some(start) = secret
        .get(..secret.char_indices().nth(TELLING).map_or(secret.len(), |(index, _)| index))
        .filter(|start| !start.is_empty())
    else {
        return text.to_owned();
    };
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(index) = rest.find(start) {
        out.push_str(&rest[..index]);
        out.push_str(MASK);
        let same = rest[index..]
            .chars()
            .zip(secret.chars())
            .take_while(|(a, b)| a == b)
            .map(|(a, _)| a.len_utf8())
            .sum::<usize>();
        rest = &rest[index + same..];
    }
    out + rest
}

/// `text` without words that begin with `prefix` and go on like a token.
fn without_token(text: String, prefix: &str) -> String {
    if !text.contains(prefix) {
        return text;
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = text.as_str();
    while let Some(index) = rest.find(prefix) {
        let end = rest[index..]
            .find(|c: char| !(c.is_ascii_alphanumeric() || "-_.+/=".contains(c)))
            .map_or(rest.len(), |end| index + end);
        let is_token = end - index >= prefix.len() + 2;
        out.push_str(&rest[..index]);
        out.push_str(if is_token { MASK } else { &rest[index..end] });
        rest = &rest[end..];
    }
    out + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_masked_in_every_spelling() {
        let secret = SecretString::from("p\"w d/0123456789");
        for echo in [
            "p\"w d/0123456789",
            "p%22w%20d%2F0123456789",
            "p\\\"w d/0123456789",
            "cCJ3IGQvMDEyMzQ1Njc4OQ==",
            "p\"w d/01",
        ] {
            let shown = shown(&format!("bad {echo} here"), &[&secret]);
            assert_eq!(shown, format!("bad {MASK} here"), "{echo}");
        }
    }

    #[test]
    fn what_looks_like_a_token_is_masked() {
        assert_eq!(masked("token xglptt-0123abc, not gl", &[]), format!("token x{MASK}, not gl"));
        assert_eq!(masked("Bearer eyJhbGciOi.J9.x", &[]), format!("Bearer {MASK}"));
    }

    #[test]
    fn words_become_one_short_line() {
        assert_eq!(shown("a\n\tb\u{1b}[31m", &[]), "a b [31m");
        assert_eq!(shown(&"é".repeat(600), &[]).chars().count(), 500);
    }
}
