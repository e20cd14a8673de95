//! A case of a table, played through the built binary.

use serde_json::{Value, json};

use crate::support::{CLIENT_SECRET, Function, PROJECT, READ_TOKEN, TOKEN, furnish, invoke, message, sqs_event};
use sandbox::{Reply, Sandbox};

/// Where a sentence shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// A line of the check that is not ok.
    Check,
    /// What Glint shows of a run that ended for this reason.
    Glint,
    /// The function's log, while the run waits.
    Log,
}

/// What is stored or set, and what the operator reads of it.
pub struct Case {
    pub name: &'static str,
    pub settings: &'static [(&'static str, &'static str)],
    pub arrange: fn(&Sandbox),
    pub shows: &'static [(Place, &'static str)],
}

/// A case whose settings are the default ones.
pub const fn case(name: &'static str, arrange: fn(&Sandbox), shows: &'static [(Place, &'static str)]) -> Case {
    Case { name, settings: &[], arrange, shows }
}

/// Stores a JSON value.
pub fn put(sandbox: &Sandbox, name: &str, value: &Value) {
    sandbox.secrets.put(name, value.to_string());
}

/// What one function said and did of a check and of the run `r_1`.
pub struct Seen {
    pub check: Value,
    pub run: sandbox::Run,
    pub printed: String,
}

/// Asks a function with these settings for a check, and delivers a run to it.
pub async fn play(sandbox: &Sandbox, settings: &[(&str, &str)]) -> Seen {
    sandbox.glint.run("r_1");
    let mut function = Function::start(sandbox, settings).await;
    let Reply::Response(check) = invoke(sandbox, json!({ "check": true, "projects": projects(settings) })).await else {
        panic!("the check answers: {}", function.printed())
    };
    let Reply::Response(_) = invoke(sandbox, sqs_event(&[&message("r_1").to_string()], 1)).await else {
        panic!("the run is answered: {}", function.printed())
    };
    let printed = function.kill().await;
    let seen = Seen { check, run: sandbox.glint.run_state("r_1"), printed };
    for secret in [CLIENT_SECRET, TOKEN, READ_TOKEN] {
        let shown = [seen.check.to_string(), seen.printed.clone(), format!("{:?}", seen.run)].concat();
        assert!(!shown.contains(secret), "{shown}");
    }
    seen
}

/// Where each project has a secret of its own, the check has to be told which.
fn projects(settings: &[(&str, &str)]) -> Vec<&'static str> {
    let is_split = settings.iter().any(|(_, value)| value.contains("{project}"));
    is_split.then_some(PROJECT).into_iter().collect()
}

/// The lines of a check that are not ok, each as it reads.
pub fn faults(check: &Value) -> Vec<String> {
    let lines = check["checks"].as_array().expect("a check has lines").iter();
    let lines = lines.filter(|line| line["ok"] == false);
    lines.map(|line| ["check", "detail", "hint"].map(|part| line[part].as_str().unwrap()).join(": ")).collect()
}

/// Plays every case, and reports all that do not show what they should.
pub async fn assert_all_show(cases: &[Case]) {
    let mut wrong = Vec::new();
    for case in cases {
        let sandbox = Sandbox::start().await;
        furnish(&sandbox);
        (case.arrange)(&sandbox);
        let queue = sandbox.queue.url();
        let settings: Vec<_> = case
            .settings
            .iter()
            .map(|(name, value)| (*name, if *value == "QUEUE" { queue.as_str() } else { *value }))
            .collect();
        let seen = play(&sandbox, &settings).await;
        let faults = faults(&seen.check);
        for (place, sentence) in case.shows {
            let found = match place {
                Place::Check => seen.check["ok"] == false && faults.iter().any(|line| line.contains(sentence)),
                Place::Glint => {
                    seen.run.status == "FAILURE"
                        && seen.run.summary.as_ref().is_some_and(|text| text.contains(sentence))
                }
                Place::Log => seen.run.status == "IN_PROGRESS" && seen.printed.contains(sentence),
            };
            if !found {
                wrong.push(format!(
                    "{}: {place:?} does not show {sentence:?}\n  check: {faults:#?}\n  Glint: {} {:?}\n  log: {}",
                    case.name, seen.run.status, seen.run.summary, seen.printed
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}
