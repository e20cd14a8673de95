//! Removes secrets from texts of upstreams and from every printed line. The code avoids printing secrets; this catches what slips through.

use base64::Engine;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use secrecy::{ExposeSecret as _, SecretString};

use crate::http::percent_encode;
use crate::json;

const MASK: &str = "[redacted]";
/// The shortest part of a secret that is removed. A shorter secret is left: it would be found in ordinary words.
const MIN_CHARACTERS: usize = 8;
/// The longest text of an upstream that is passed on.
const MAX_LENGTH: usize = 500;

/// Known token prefixes, plain and base64-encoded.
const PREFIXES: [&str; 11] =
    ["glptt-", "glpat-", "gldt-", "glcbt-", "glrt-", "glsoat-", "whsec_", JWT, "Z2xwdHQt", "Z2xwYXQt", "d2hzZWNf"];
const JWT: &str = "eyJ";

/// Removes secrets from text. Built once for all texts of one exchange, since listing the spellings of a secret costs most.
pub struct Redactor {
    spellings: Vec<Spelling>,
    /// The first bytes of what is to be hidden, and the second ones: most words are passed over by these alone.
    begins: [bool; 256],
    goes_on: [bool; 256],
}

/// One form in which an upstream may echo a secret.
struct Spelling {
    text: String,
    /// How many characters of it encode the shortest part of the secret that is removed.
    min_characters: usize,
}

impl std::fmt::Debug for Redactor {
    fn fmt(&self, formatter: &mut std::fmt::Formatter) -> std::fmt::Result {
        formatter.write_str("Redactor")
    }
}

impl Redactor {
    /// Hides `secrets` in whatever spelling, and everything that looks like a token.
    pub fn new<'a>(secrets: impl IntoIterator<Item = &'a SecretString>) -> Self {
        let spellings: Vec<_> = secrets.into_iter().flat_map(|secret| spellings(secret.expose_secret())).collect();
        let (mut begins, mut goes_on) = ([false; 256], [false; 256]);
        for word in spellings.iter().map(|spelling| spelling.text.as_str()).chain(PREFIXES) {
            if let [first, second, ..] = word.as_bytes() {
                begins[usize::from(*first)] = true;
                goes_on[usize::from(*second)] = true;
            }
        }
        Self { spellings, begins, goes_on }
    }

    /// What an upstream said, fit to be shown: one line of at most 500 characters, without control characters.
    pub fn sanitize_line(&self, words: &str) -> String {
        let redacted = self.redact(words);
        let line: Vec<&str> = redacted
            .split(|character: char| character.is_control() || character.is_whitespace())
            .filter(|word| !word.is_empty())
            .collect();
        let line = line.join(" ");
        match line.char_indices().nth(MAX_LENGTH) {
            Some((end, _)) => line[..line[..end].char_indices().last().map_or(0, |(last, _)| last)].to_owned() + "…",
            None => line,
        }
    }

    /// `text` with everything that is to be hidden replaced.
    pub fn redact(&self, text: &str) -> String {
        let mut out = String::with_capacity(text.len());
        let (mut rest, mut before) = (text, None);
        while !rest.is_empty() {
            // Most of a text begins no secret, and is passed on in one piece.
            let (clear, suspect) = rest.split_at(self.suspect(rest));
            out.push_str(clear);
            before = clear.chars().next_back().or(before);
            rest = suspect;
            let Some(first) = rest.chars().next() else { break };
            let hidden = self.hidden(rest, before);
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

    /// Where the next thing to hide may begin, on the boundary of a character.
    fn suspect(&self, text: &str) -> usize {
        let bytes = text.as_bytes();
        let is_suspect = |place: &usize| {
            let second = bytes.get(place + 1);
            self.begins[usize::from(bytes[*place])] && second.is_some_and(|second| self.goes_on[usize::from(*second)])
        };
        (0..bytes.len()).find(is_suspect).unwrap_or(bytes.len())
    }

    /// How much of the beginning of `text`, which is not empty, has to be hidden. The longest match of all: what is left of a secret
    /// after a shorter one would no longer be known for it.
    fn hidden(&self, text: &str, before: Option<char>) -> usize {
        let first = text.as_bytes()[0];
        let begins = |word: &str| word.as_bytes()[0] == first;
        let known =
            self.spellings.iter().filter(|spelling| begins(&spelling.text)).map(|spelling| shared(text, spelling));
        let likely = PREFIXES.iter().filter(|prefix| begins(prefix)).map(|prefix| token(text, prefix, before));
        known.chain(likely).max().unwrap_or_default()
    }
}

/// The forms in which an upstream may echo a secret, each once.
fn spellings(secret: &str) -> Vec<Spelling> {
    if secret.chars().count() < MIN_CHARACTERS {
        return Vec::new();
    }
    let quoted = json::quote(secret);
    let percent = percent_encode(secret);
    let hex = |prefix: &str| secret.bytes().map(|byte| format!("{prefix}{byte:02x}")).collect::<String>();
    let (bytes, escapes) = (hex(""), hex("%"));
    let same_length = [
        secret.to_owned(),
        lower_case_escapes(&percent),
        percent,
        url::form_urlencoded::byte_serialize(secret.as_bytes()).collect(),
        quoted[1..quoted.len() - 1].to_owned(),
    ];
    let longer = [(2, bytes.to_ascii_uppercase()), (2, bytes), (3, escapes.to_ascii_uppercase()), (3, escapes)];
    let base64 = (0..3).flat_map(|offset| {
        [base64_at(&BASE64_STANDARD, secret, offset), base64_at(&BASE64_URL_SAFE_NO_PAD, secret, offset)]
    });
    let all = same_length.into_iter().chain(base64).map(|text| (1, text)).chain(longer);
    let mut distinct: Vec<Spelling> = Vec::with_capacity(16);
    for (factor, text) in all {
        if !distinct.iter().any(|spelling| spelling.text == text) {
            distinct.push(Spelling { text, min_characters: factor * MIN_CHARACTERS });
        }
    }
    distinct
}

/// What `secret` looks like in the base64 of a longer text, where it begins `offset` bytes behind a multiple of three: the digits that are its
/// own alone, as in the user and password of a `Basic` header.
fn base64_at(engine: &impl Engine, secret: &str, offset: usize) -> String {
    let padded = [&b"\0\0"[..offset], secret.as_bytes()].concat();
    let encoded = engine.encode(&padded);
    let begin = (offset * 8).div_ceil(6);
    // At the beginning the whole text is the secret's, padding included.
    let end = if offset == 0 { encoded.len() } else { padded.len() * 8 / 6 };
    encoded[begin..end].to_owned()
}

/// `text` with the digits of its percent escapes in lower case, which RFC 3986 lets mean the same.
fn lower_case_escapes(text: &str) -> String {
    let mut pieces = text.split('%');
    let first = pieces.next().unwrap_or_default().to_owned();
    pieces.fold(first, |out, piece| {
        let (digits, rest) = piece.split_at(piece.len().min(2));
        [&out, "%", &digits.to_ascii_lowercase(), rest].concat()
    })
}

/// How many bytes `text` begins with of `spelling`, where those are enough to give the secret away.
fn shared(text: &str, spelling: &Spelling) -> usize {
    let same = text.chars().zip(spelling.text.chars()).take_while(|(one, other)| one == other);
    let (count, bytes) = same.fold((0, 0), |(count, bytes), (one, _)| (count + 1, bytes + one.len_utf8()));
    if count >= spelling.min_characters { bytes } else { 0 }
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
            "7022772064 2f30313233343536373839".replace(' ', "").as_str(),
            "7022772064 2F30313233343536373839".replace(' ', "").as_str(),
            "%70%22%77%20%64%2f%30%31%32%33%34%35%36%37%38%39",
            "%70%22%77%20%64%2F%30%31%32%33%34%35%36%37%38%39",
        ] {
            let shown = Redactor::new([&secret]).sanitize_line(&format!("bad {echo} here"));
            assert_eq!(shown, format!("bad {MASK} here"), "{echo}");
        }
    }

    #[test]
    fn a_secret_is_found_within_the_base64_of_a_longer_text() {
        let secret = SecretString::from("0123456789abcdefghijkl");
        for user in ["", "u", "us", "user", "a user of Glint"] {
            let encoded = BASE64_STANDARD.encode(format!("{user}:0123456789abcdefghijkl"));
            let redacted = Redactor::new([&secret]).redact(&encoded);
            let own_digits = &encoded[encoded.len() - 16..encoded.len() - 4];
            assert!(redacted.contains(MASK) && !redacted.contains(own_digits), "{user}: {redacted}");
        }
    }

    #[test]
    fn a_secret_of_fewer_than_eight_characters_is_not_hidden() {
        let secrets = ["a", "pipe", "-/jobs/"].map(SecretString::from);
        let link = "https://gitlab.example.com/a/pipe/-/jobs/7";
        assert_eq!(Redactor::new(&secrets).redact(link), link);
        assert_eq!(Redactor::new([&SecretString::from("pipeline")]).redact("a pipeline"), format!("a {MASK}"));
    }

    #[test]
    fn nothing_of_a_secret_is_left_after_its_mask() {
        let redactor = Redactor::new(&["abcdefgh/tail", "abcdefghXYZ", "glptt-0000aaaa"].map(SecretString::from));
        for echo in ["abcdefgh%2Ftail", "abcdefgh%2ftail", "abcdefghXYZ", "glptt-0000aaaa", "glptt-0000bbbb"] {
            assert_eq!(redactor.redact(&format!("<{echo}>")), format!("<{MASK}>"), "{echo}");
        }
    }

    #[test]
    fn what_looks_like_a_token_is_masked() {
        let redact = |text: &str| Redactor::new([]).redact(text);
        assert_eq!(redact("token xglptt-0123abc, not gl"), format!("token x{MASK}, not gl"));
        assert_eq!(redact("Bearer eyJhbGciOi.J9.x"), format!("Bearer {MASK}"));
        assert_eq!(redact("the input keyJson"), "the input keyJson");
        assert_eq!(redact(&format!("<{}>", BASE64_STANDARD.encode("glpat-0123456789"))), format!("<{MASK}>"));
    }

    #[test]
    fn words_become_one_short_line() {
        assert_eq!(Redactor::new([]).sanitize_line("a\n\tb\u{1b}[31m"), "a b [31m");
        assert_eq!(Redactor::new([]).sanitize_line(&"é".repeat(600)).chars().count(), 500);
    }
}
