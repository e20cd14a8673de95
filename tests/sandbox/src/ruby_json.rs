//! JSON as GitLab writes it again: parsed by Ruby, written by Rails. Order is kept; spelling is not.

use crate::ordered::Members;
use serde_json::value::RawValue;

/// Valid JSON as `to_json` of what Ruby makes of it: of a repeated key the last value, no white space, numbers and
/// escapes in Ruby's own spelling.
pub fn rewrite(json: &str) -> String {
    let json = json.trim();
    match json.as_bytes().first() {
        Some(b'{') => {
            let members = Members::parse(json.as_bytes()).unwrap_or_default();
            let members = members.iter().map(|(key, value)| format!("{}:{}", text(key), rewrite(value)));
            format!("{{{}}}", members.collect::<Vec<_>>().join(","))
        }
        Some(b'[') => {
            let elements: Vec<Box<RawValue>> = serde_json::from_str(json).unwrap_or_default();
            let elements: Vec<String> = elements.iter().map(|element| rewrite(element.get())).collect();
            format!("[{}]", elements.join(","))
        }
        Some(b'"') => text(&serde_json::from_str::<String>(json).unwrap_or_default()),
        Some(b'-' | b'0'..=b'9') => number(json),
        _ => json.to_owned(),
    }
}

/// Rails escapes what HTML and JavaScript could take for their own.
pub fn text(plain: &str) -> String {
    let mut written = serde_json::Value::from(plain).to_string();
    for (character, escape) in
        [("<", "\\u003c"), (">", "\\u003e"), ("&", "\\u0026"), ("\u{2028}", "\\u2028"), ("\u{2029}", "\\u2029")]
    {
        written = written.replace(character, escape);
    }
    written
}

/// Integers keep all their digits; anything else is a float, written as `Float#to_s` writes it.
fn number(digits: &str) -> String {
    if !digits.contains(['.', 'e', 'E']) {
        return if digits == "-0" { "0".to_owned() } else { digits.to_owned() };
    }
    let value: f64 = digits.parse().unwrap_or(f64::INFINITY);
    if !value.is_finite() {
        return "null".to_owned();
    }
    let scientific = format!("{value:e}");
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if (-4..16).contains(&exponent) {
        let plain = format!("{value}");
        return if plain.contains('.') { plain } else { format!("{plain}.0") };
    }
    let mantissa = if mantissa.contains('.') { mantissa.to_owned() } else { format!("{mantissa}.0") };
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{mantissa}e{sign}{:02}", exponent.abs())
}
