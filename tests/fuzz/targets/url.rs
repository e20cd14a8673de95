//! Fuzzes `glint_gitlab_trigger::fuzzing::url`, which says what has to hold.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| glint_gitlab_trigger::fuzzing::url(data));
