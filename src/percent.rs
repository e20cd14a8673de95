//! Percent-encoding, as a URL's segments and queries need it.

/// `text` with everything but RFC 3986's unreserved characters encoded.
pub fn percent(text: &str) -> String {
    encoded(text, b"0123456789ABCDEF")
}

/// The same with the digits in lower case, which the RFC lets mean the same.
pub fn percent_in_lower_case(text: &str) -> String {
    encoded(text, b"0123456789abcdef")
}

fn encoded(text: &str, digits: &[u8; 16]) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~') {
            out.push(char::from(byte));
        } else {
            let digit = |half: u8| char::from(digits[usize::from(half)]);
            out.extend(['%', digit(byte >> 4), digit(byte & 15)]);
        }
    }
    out
}
