//! Property tests: what upstreams say: no secret survives the redactor, and no sentence grows long.

use proptest::prelude::*;
use sandbox::arbitrary::{config, hostile_text};
use sandbox::spellings::forms;
use secrecy::SecretString;

use super::redaction::Redactor;

/// A secret of at least eight characters, the shortest that is removed.
fn secret() -> impl Strategy<Value = String> {
    prop_oneof![
        "[A-Za-z0-9]{8,40}",
        "(glptt-|glpat-|whsec_|eyJ)[A-Za-z0-9+/=._-]{5,40}",
        "[ -~]{8,40}",
        "[a-z\"\\\\/+% \n\té😀]{8,24}",
    ]
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn no_canary_survives_the_redactor(secret in secret(), other in secret(), before in hostile_text(), after in hostile_text(), choice in any::<prop::sample::Index>()) {
        let spellings = forms(&secret);
        let form = &spellings[choice.index(spellings.len())];
        let secrets = [SecretString::from(other), SecretString::from(secret.as_str())];
        let redactor = Redactor::new(&secrets);
        let text = format!("{before} {form} {after} {form}");
        for told in [redactor.redact(&text), redactor.sanitize_line(&text)] {
            let hidden = told.replace("[redacted]", "\u{1}");
            for spelling in &spellings {
                // What the words around it hold by themselves is no echo.
                let innocent = before.contains(spelling.as_str()) || after.contains(spelling.as_str());
                prop_assert!(innocent || !hidden.contains(spelling.as_str()), "{:?} in {:?} of {:?}", spelling, told, text);
            }
        }
    }

    #[test]
    fn what_is_shown_is_one_short_line(text in hostile_text(), times in 1..200_usize) {
        let shown = Redactor::new([]).sanitize_line(&text.repeat(times));
        prop_assert!(shown.chars().count() <= 500 && !shown.contains(char::is_control));
    }

    #[test]
    fn words_without_secrets_stay_as_they_are(text in "[a-z ]{0,80}") {
        prop_assert_eq!(Redactor::new([&SecretString::from("0123456789")]).redact(&text), text);
    }
}
