//! Sends hostile messages to the built binary, between two ordinary ones, and checks what becomes of all of them.

use serde_json::{Value, json};

use crate::support::{Function, furnish, invoke, message, redelivered, sqs_event};
use sandbox::{Call, Reply, Sandbox, Upstream};

/// Where the ordinary runs of the sandbox's one project go.
pub const TRIGGER_PATH: &str = "/api/v4/projects/acme%2Fbackend%2Fbilling/trigger/pipeline";
/// Stands for the run id in a case's body.
const RUN: &str = "the-run-of-this-case";
/// So many cases go into one batch, with an ordinary message before and behind them.
const AT_ONCE: usize = 8;

/// One hostile message: what is wrong with it, and the words with which the refusal has to say so.
pub struct Case {
    name: String,
    body: String,
    says: String,
}

impl Case {
    /// A message of Glint changed by `edit`.
    pub fn new(name: &str, says: &str, edit: impl FnOnce(&mut Value)) -> Self {
        let mut body = message(RUN);
        edit(&mut body);
        Self::raw(name, says, body.to_string())
    }

    /// A message as text: for JSON that `Value` cannot hold.
    pub fn raw(name: &str, says: &str, body: String) -> Self {
        Self { name: name.to_owned(), body, says: says.to_owned() }
    }

    /// A message whose user inputs are this JSON text.
    pub fn inputs(name: &str, says: &str, inputs: &str) -> Self {
        let ordinary = message(RUN);
        let body = ordinary.to_string().replace(&ordinary["payload"]["properties"].to_string(), inputs);
        assert!(body.contains(inputs), "{name}");
        Self::raw(name, says, body)
    }
}

/// The function and its sandbox.
pub struct Checker {
    pub sandbox: Sandbox,
    function: Function,
    batches: usize,
}

impl Checker {
    pub async fn start(settings: &[(&str, &str)]) -> Self {
        let sandbox = Sandbox::start().await;
        furnish(&sandbox);
        let function = Function::start(&sandbox, settings).await;
        Self { sandbox, function, batches: 0 }
    }

    /// Each case is refused in Glint, in its words and with a hint, while its neighbours become pipelines; tells how many cases there were.
    pub async fn refuses(mut self, cases: Vec<Case>) -> usize {
        for batch in cases.chunks(AT_ONCE) {
            self.refuses_batch(batch).await;
        }
        let printed = self.function.kill().await;
        assert!(!printed.contains("panicked"), "{printed}");
        println!("{} cases", cases.len());
        cases.len()
    }

    async fn refuses_batch(&mut self, cases: &[Case]) {
        self.batches += 1;
        let run = |index: usize| format!("r_{}_{index}", self.batches);
        let ordinary = |index: usize| message(&run(index)).to_string();
        let mut bodies = vec![ordinary(0)];
        bodies.extend(cases.iter().enumerate().map(|(index, case)| case.body.replace(RUN, &run(index + 1))));
        bodies.push(ordinary(bodies.len()));
        (0..bodies.len()).for_each(|index| drop(self.sandbox.glint.run(&run(index))));
        let texts: Vec<&str> = bodies.iter().map(String::as_str).collect();
        let Reply::Response(reply) = invoke(&self.sandbox, sqs_event(&texts, 1)).await else {
            panic!("no reply to the batch of `{}`: {}", cases[0].name, self.function.printed());
        };
        let names: Vec<&str> = cases.iter().map(|case| case.name.as_str()).collect();
        assert_eq!(redelivered(&reply), [0; 0], "{names:?}: {}", self.function.printed());
        for (index, case) in cases.iter().enumerate() {
            self.is_refused(case, &run(index + 1));
        }
        for index in [0, bodies.len() - 1] {
            assert_eq!(self.sandbox.glint.run_state(&run(index)).links().len(), 1, "a neighbour of {names:?}");
        }
        self.only_neighbours_reached_gitlab(&names);
        self.sandbox.journal.clear();
    }

    fn is_refused(&self, case: &Case, run: &str) {
        let run = self.sandbox.glint.run_state(run);
        let summary = run.summary.unwrap_or_default();
        assert_eq!(run.status, "FAILURE", "{}: {summary}", case.name);
        let (what, hint) =
            summary.split_once("\nhint: ").unwrap_or_else(|| panic!("{}: no hint: {summary}", case.name));
        assert!(what.contains(&case.says), "{}: expected {:?}: {summary}", case.name, case.says);
        assert!(!hint.is_empty() && summary.len() < 1000, "{}: {summary}", case.name);
        assert!(!what.contains(char::is_control), "{}: {summary:?}", case.name);
        assert_eq!(run.logs.len(), 1, "{}", case.name);
        assert_eq!((run.link, run.external_run_id), (None, None), "{}", case.name);
    }

    fn only_neighbours_reached_gitlab(&self, names: &[&str]) {
        let exchanges = self.sandbox.journal.exchanges();
        let at_gitlab: Vec<_> = exchanges.iter().filter(|one| one.upstream == Upstream::GitLab).collect();
        assert_eq!(at_gitlab.len(), 2, "{names:?}: {at_gitlab:?}");
        for exchange in at_gitlab {
            assert_eq!((exchange.call, exchange.path_and_query.as_str()), (Call::Trigger, TRIGGER_PATH), "{names:?}");
        }
        assert!(self.sandbox.journal.stray().is_empty(), "{names:?}: {:?}", self.sandbox.journal.stray());
    }
}

/// The message's `invocationMethod`.
pub fn method(message: &mut Value) -> &mut Value {
    &mut message["payload"]["action"]["invocationMethod"]
}

/// Sets the user inputs of a message.
pub fn with_inputs(message: &mut Value, inputs: Value) {
    message["payload"]["properties"] = inputs;
}

/// An event of a function URL.
pub fn web_event(path: &str, headers: &[(&str, &str)], body: &str) -> Value {
    let headers: serde_json::Map<String, Value> =
        headers.iter().map(|(name, value)| ((*name).to_owned(), json!(value))).collect();
    json!({
        "version": "2.0", "routeKey": "$default", "rawPath": path, "rawQueryString": "", "headers": headers,
        "requestContext": {
            "accountId": "anonymous", "apiId": "a", "domainName": "a.lambda-url.eu-west-1.on.aws", "domainPrefix": "a",
            "requestId": "1", "routeKey": "$default", "stage": "$default", "timeEpoch": 1, "time": "05/Jan/2026:09:12:03 +0000",
            "http": { "method": "POST", "path": path, "protocol": "HTTP/1.1", "sourceIp": "203.0.113.10", "userAgent": "x" },
        },
        "body": body, "isBase64Encoded": false,
    })
}
