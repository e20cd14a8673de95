//! `port_payload`: the whole message, byte for byte, for the jobs that read `.port_payload.context.runId`.

use std::borrow::Cow;

/// The message as it is sent on. With `escape_dollar` each `$` is doubled: old `GitLabs` expand variables inside `TRIGGER_PAYLOAD` too, and
/// turn `$$` back into `$` for the job.
pub fn escape_dollars(message: Cow<'_, str>, escape_dollar: bool) -> Cow<'_, str> {
    if escape_dollar { double_dollars(&message).into() } else { message }
}

/// `$` stands only inside JSON's strings, where it may also be written `\u0024`.
fn double_dollars(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 16);
    let mut rest = text;
    while let Some(index) = rest.find(['$', '\\']) {
        out.push_str(&rest[..index]);
        rest = &rest[index..];
        let taken = if rest.starts_with('$') {
            out.push_str("$$");
            1
        } else if rest.starts_with("\\u0024") {
            out.push_str("$$");
            6
        } else {
            // Any other escape: its second character may be a backslash, which then escapes nothing.
            let taken = 1 + rest[1..].chars().next().map_or(0, char::len_utf8);
            out.push_str(&rest[..taken]);
            taken
        };
        rest = &rest[taken..];
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dollar_is_doubled_however_it_is_spelled() {
        for (given, expected) in [
            (r#"{"a":"$X"}"#, r#"{"a":"$$X"}"#),
            (r#"{"a":"\u0024{X}"}"#, r#"{"a":"$${X}"}"#),
            (r#"{"a":"\\u0024"}"#, r#"{"a":"\\u0024"}"#),
            (r#"{"a":"\\$é\""}"#, r#"{"a":"\\$$é\""}"#),
        ] {
            assert_eq!(escape_dollars(given.into(), true), expected);
            assert_eq!(escape_dollars(given.into(), false), given);
        }
    }
}
