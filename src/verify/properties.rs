//! Property tests of signatures: the genuine one is accepted, whatever stands beside it, and no other is.

use chrono::{DateTime, Utc};
use proptest::prelude::*;
use sandbox::arbitrary::{config, hostile_text, json};
use sandbox::signing::{self, signature};
use secrecy::SecretString;

use super::{HookSignature, SignatureHeaders, UnverifiedBody, sign_run, verify_run};
use crate::gitlab::types::HookSecrets;

const SECRET: &str = "client-secret";
const TOKEN: &str = "whsec_UHJvYmVDYW5hcnlIb29rS2V5MDEyMzQ1Njc4OWFi";

fn at(seconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(seconds, 0).unwrap()
}

fn proven(body: &str, timestamp: &str, signature: &str, now: i64) -> bool {
    let claim = SignatureHeaders { timestamp: timestamp.to_owned(), signature: signature.to_owned() };
    let unproven = UnverifiedBody::new(body.to_owned(), Some(claim));
    unproven.signed_at(Some(at(now))).is_ok() && unproven.verify(&SecretString::from(SECRET)).is_ok()
}

fn proves(signature: &HookSignature, body: &str, keys: &HookSecrets) -> bool {
    signature.proof(keys, at(1_700_000_000)).is_ok_and(|proof| signature.verify(proof, body, keys))
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn no_made_up_signature_is_believed(body in json(), timestamp in prop_oneof![hostile_text(), any::<i64>().prop_map(|n| n.to_string())], signature in prop_oneof![hostile_text(), "(v1,[A-Za-z0-9+/=]{0,48}[ ,]?){0,3}"]) {
        prop_assert!(!proven(&body, &timestamp, &signature, 1_700_000_000));
        let headers = serde_json::json!({ "X-Port-Signature": signature, "X-Port-Timestamp": timestamp });
        let inside = UnverifiedBody::signed_inside(format!("{{\"a\":{body},\"headers\":{headers}}}"));
        prop_assert!(inside.verify(&SecretString::from(SECRET)).is_err());
    }

    #[test]
    fn the_genuine_one_is_believed_among_others_and_only_within_its_time(body in hostile_text(), age in -400_i64..400, noise in "(v1,[A-Za-z0-9+/]{4} ){0,3}") {
        let now = 1_700_000_000;
        let timestamp = (now - age).to_string();
        let header = format!("{noise}{}", signature(SECRET, &timestamp, body.as_bytes()));
        prop_assert_eq!(proven(&body, &timestamp, &header, now), age.abs() <= 300);
    }

    #[test]
    fn one_changed_byte_is_enough_to_disbelieve(body in "[a-z{}\":,]{1,40}", place in any::<prop::sample::Index>(), in_signature in any::<bool>()) {
        let genuine = signature(SECRET, "1700000000", body.as_bytes());
        let changed = |text: &str, from: usize| {
            let mut bytes = text.as_bytes().to_vec();
            // Less the last letter and the padding, whose bits do not all count.
            let index = from + place.index(bytes.len() - from - if from > 0 { 2 } else { 0 });
            bytes[index] = if bytes[index] == b'a' { b'b' } else { b'a' };
            String::from_utf8(bytes).unwrap()
        };
        let (body, signature) = if in_signature { (body, changed(&genuine, 3)) } else { (changed(&body, 0), genuine) };
        prop_assert!(!proven(&body, "1700000000", &signature, 1_700_000_000));
    }

    #[test]
    fn no_made_up_proof_of_a_hook_is_believed(body in json(), id in hostile_text(), timestamp in prop_oneof![hostile_text(), any::<i64>().prop_map(|n| n.to_string())], signature in hostile_text(), token in hostile_text()) {
        let keys = HookSecrets { signing_token: Some(SecretString::from(TOKEN)), token: Some(SecretString::from("the token")) };
        let mut proof = HookSignature { id: Some(id), timestamp: Some(timestamp), signature: Some(signature), token: Some(SecretString::from(token)) };
        prop_assert!(!proves(&proof, &body, &keys));
        proof.signature = None;
        prop_assert!(!proves(&proof, &body, &keys));
        let genuine = signing::hook_signature(TOKEN, "id", "1700000000", body.as_bytes());
        let proof = HookSignature { id: Some("id".to_owned()), timestamp: Some("1700000000".to_owned()), signature: Some(genuine), token: None };
        prop_assert!(proves(&proof, &body, &keys));
    }

    #[test]
    fn a_runs_proof_holds_for_it_alone(project in hostile_text(), run in "[A-Za-z0-9_-]{1,40}", other in hostile_text()) {
        let secret = SecretString::from(SECRET);
        let proof = sign_run(&secret, &project, &run);
        prop_assert!(verify_run(&secret, &project, &run, &proof));
        prop_assert!(project.to_lowercase() == other.to_lowercase() || !verify_run(&secret, &other, &run, &proof));
        prop_assert!(!verify_run(&secret, &project, &run, &other));
    }
}
