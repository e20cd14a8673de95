//! Takes secrets out of foreign words: the last line of defence, not the first.

use base64::Engine as _;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use secrecy::{ExposeSecret as _, SecretString};
use zeroize::Zeroizing;

const MASK: &str = "[redacted]";
/// This much of a secret is enough to give it away.
const TELLING: usize = 8;
/// The longest text of an upstream that is passed on.
const LONGEST: usize = 500;

/// How secrets of GitLab, its hooks and Glint's logins begin, and those of them whose beginning base64 keeps apart from the rest.
const PREFIXES: [&str; 11] =
    ["glptt-", "glpat-", "gldt-", "glcbt-", "glrt-", "glsoat-", "whsec_", JWT, "Z2xwdHQt", "Z2xwYXQt", "d2hzZWNf"];
const JWT: &str = "eyJ";

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
    let spellings: Vec<Zeroizing<String>> =
        secrets.iter().flat_map(|secret| spellings(secret.expose_secret())).map(Zeroizing::new).collect();
    let begins = beginnings(spellings.iter().map(|spelling| spelling.as_str()).chain(PREFIXES));
    let mut out = String::with_capacity(text.len());
    let (mut rest, mut before) = (text, None);
    while !rest.is_empty() {
        // Most of a text begins no secret, and is passed on in one piece.
        let (clear, suspect) =
            rest.split_at(rest.bytes().position(|byte| begins[usize::from(byte)]).unwrap_or(rest.len()));
        out.push_str(clear);
        before = clear.chars().next_back().or(before);
        rest = suspect;
        let Some(first) = rest.chars().next() else { break };
        // The longest of all: what is left of a secret after a shorter match would no longer be known for one.
        let known = spellings.iter().map(|spelling| shared(rest, spelling));
        let likely = PREFIXES.iter().map(|prefix| token(rest, prefix, before));
        let hidden = known.chain(likely).max().unwrap_or_default();
        if hidden > 0 {
            out.push_str(MASK);
        } else {
            out.push(first);
        }
        let taken = hidden.max(first.len_utf8());
        before = rest[..taken].chars().next_back();
        rest = &rest[taken..];
    }
    out
}

/// The bytes that one of `words` begins with.
fn beginnings<'a>(words: impl Iterator<Item = &'a str>) -> [bool; 256] {
    let mut begins = [false; 256];
    for byte in words.filter_map(|word| word.bytes().next()) {
        begins[usize::from(byte)] = true;
    }
    begins
}

/// The forms in which an upstream may echo a secret.
fn spellings(secret: &str) -> Vec<String> {
    let percent = |lower: bool| -> String {
        let byte = |byte: u8| match byte {
            _ if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) => char::from(byte).to_string(),
            _ if lower => format!("%{byte:02x}"),
            _ => format!("%{byte:02X}"),
        };
        secret.bytes().map(byte).collect()
    };
    let json = crate::json::quote(secret);
    let form = url::form_urlencoded::byte_serialize(secret.as_bytes()).collect();
    let base64 = [BASE64_STANDARD.encode(secret), BASE64_URL_SAFE_NO_PAD.encode(secret)];
    let plain = [secret.to_owned(), percent(false), percent(true), form, json[1..json.len() - 1].to_owned()];
    plain.into_iter().chain(base64).filter(|spelling| !spelling.is_empty()).collect()
}

/// How many bytes `text` begins with of `secret`: of a long one its beginning is enough, of a short one it must be all.
fn shared(text: &str, secret: &str) -> usize {
    let same = text.chars().zip(secret.chars()).take_while(|(one, other)| one == other);
    let (count, bytes) = same.fold((0, 0), |(count, bytes), (one, _)| (count + 1, bytes + one.len_utf8()));
    if count >= TELLING || bytes == secret.len() { bytes } else { 0 }
}

/// The length of the word that `text` begins with, if that word begins with `prefix` and goes on like a token.
fn token(text: &str, prefix: &str, before: Option<char>) -> usize {
    // The beginning of a JWT, unlike GitLab's prefixes, may also lie in the middle of a word such as `keyJar`.
    let inside = prefix == JWT && before.is_some_and(char::is_alphanumeric);
    if inside || !text.starts_with(prefix) {
        return 0;
    }
    let end = text.find(|c: char| !(c.is_ascii_alphanumeric() || "-_.+/=".contains(c))).unwrap_or(text.len());
    if end >= prefix.len() + 2 { end } else { 0 }
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
            "p%22w%20d%2f0123456789",
            "p%22w+d%2F0123456789",
            "cCJ3IGQvMDEyMzQ1Njc4OQ",
        ] {
            let shown = shown(&format!("bad {echo} here"), &[&secret]);
            assert_eq!(shown, format!("bad {MASK} here"), "{echo}");
        }
    }

    #[test]
    fn nothing_of_a_secret_is_left_after_its_mask() {
        let secrets = ["abcdefgh/tail", "abcdefghXYZ", "glptt-0000aaaa"].map(SecretString::from);
        let secrets: Vec<&SecretString> = secrets.iter().collect();
        for echo in ["abcdefgh%2Ftail", "abcdefgh%2ftail", "abcdefghXYZ", "glptt-0000aaaa", "glptt-0000bbbb"] {
            assert_eq!(masked(&format!("<{echo}>"), &secrets), format!("<{MASK}>"), "{echo}");
        }
    }

    #[test]
    fn what_looks_like_a_token_is_masked() {
        assert_eq!(masked("token xglptt-0123abc, not gl", &[]), format!("token x{MASK}, not gl"));
        assert_eq!(masked("Bearer eyJhbGciOi.J9.x", &[]), format!("Bearer {MASK}"));
        assert_eq!(masked("the input keyJson", &[]), "the input keyJson");
        assert_eq!(masked(&format!("<{}>", BASE64_STANDARD.encode("glpat-0123456789")), &[]), format!("<{MASK}>"));
    }

    #[test]
    fn words_become_one_short_line() {
        assert_eq!(shown("a\n\tb\u{1b}[31m", &[]), "a b [31m");
        assert_eq!(shown(&"é".repeat(600), &[]).chars().count(), 500);
    }
}
