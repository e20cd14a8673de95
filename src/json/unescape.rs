//! Resolves the escapes of a JSON string, in memory of just its size.

use std::str::Chars;

/// The text of `inner`, which stands between the quotes of a valid JSON string. `None` where it escapes half of a surrogate pair.
///
/// The parser resolves escapes in a buffer that grows, and hands out a copy: the largest hook would be there twice.
pub fn unescape(inner: &str) -> Option<String> {
    let mut out = String::with_capacity(inner.len());
    let mut rest = inner;
    while let Some((plain, escape)) = rest.split_once('\\') {
        out.push_str(plain);
        let mut characters = escape.chars();
        out.push(match characters.next()? {
            'b' => '\u{8}',
            'f' => '\u{c}',
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'u' => code_point(&mut characters)?,
            itself => itself,
        });
        rest = characters.as_str();
    }
    out.push_str(rest);
    Some(out)
}

/// The character behind `\u`, which may be two of them.
fn code_point(characters: &mut Chars) -> Option<char> {
    let first = unit(characters)?;
    if !(0xD800..0xDC00).contains(&first) {
        return char::from_u32(first.into());
    }
    let has_second = characters.next() == Some('\\') && characters.next() == Some('u');
    let second = unit(characters).filter(|_| has_second)?;
    char::decode_utf16([first, second]).next()?.ok()
}

fn unit(characters: &mut Chars) -> Option<u16> {
    let (digits, rest) = characters.as_str().split_at_checked(4)?;
    *characters = rest.chars();
    u16::from_str_radix(digits, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_escape_says_what_it_says_to_the_parser() {
        for inner in [
            "",
            "plain é😀",
            r#"\"\\\/\b\f\n\r\t"#,
            r"\u00e9\u0000\uD83D\uDE00x",
            r"\\u0041",
            r"\ud800",
            r"\udc00",
            r"\ud800\u0041",
            r"\ud800x",
            r"\ud800\n",
            r"\ud83d\ud83d\ude00",
        ] {
            assert_eq!(unescape(inner), serde_json::from_str(&format!("\"{inner}\"")).ok(), "{inner}");
        }
    }
}
