//! Redirects, and other ways to lead a token to another host.

use std::io::ErrorKind;
use std::net::TcpListener;

use serde_json::{Value, json};

use crate::abuse::refusals::{TRIGGER_PATH, method};
use crate::support::{Function, PROJECT, TOKEN, World, furnish, message};
use sandbox::{Call, Fault, Upstream};

/// A host that nobody may call.
struct Trap(TcpListener);

impl Trap {
    fn set() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        Self(listener)
    }

    fn url(&self) -> String {
        format!("http://{}/caught", self.0.local_addr().unwrap())
    }

    /// Whether somebody has connected; a connection waits in the backlog from its first packet on.
    fn is_untouched(&self) -> bool {
        self.0.accept().is_err_and(|error| error.kind() == ErrorKind::WouldBlock)
    }
}

async fn led_astray(call: Call, status: u16) -> (World, Trap, Vec<usize>) {
    let (world, trap) = (World::new().await, Trap::set());
    world.sandbox.glint.run("r_1");
    world.sandbox.fail(call).every().with(Fault::Redirect { status, location: trap.url() });
    let second = world.queue(&[&message("r_1").to_string()]).await;
    (world, trap, second)
}

#[tokio::test]
async fn no_redirect_of_gitlab_is_followed() {
    for status in [301, 302, 303, 307, 308, 300, 305] {
        let (world, trap, second) = led_astray(Call::Trigger, status).await;
        assert_eq!(second, [0; 0], "{status}");
        let summary = world.run("r_1").summary.unwrap();
        assert!(summary.contains("redirect") && summary.contains("check `GITLAB_URL`"), "{status}: {summary}");
        assert_eq!(world.sandbox.journal.count(Call::Trigger), 1, "{status}");
        assert!(trap.is_untouched(), "{status}");
    }
}

#[tokio::test]
async fn no_redirect_of_glint_or_secrets_manager_is_followed() {
    let calls = [Call::Login, Call::GetRun, Call::PatchRun, Call::PostLog, Call::GetSecret];
    for call in calls {
        for status in [302, 307] {
            let (world, trap, second) = led_astray(call, status).await;
            // A run whose log line is lost is started all the same.
            let is_started = call == Call::PostLog;
            assert_eq!(second.is_empty(), is_started, "{call:?} {status}");
            assert_eq!(world.sandbox.gitlab.pipelines().len(), usize::from(is_started), "{call:?} {status}");
            assert!(trap.is_untouched(), "{call:?} {status}");
        }
    }
}

/// Every field in which a message might name a host.
fn messages_with_hosts(url: &str) -> Vec<(&'static str, Value)> {
    let with = |edit: &dyn Fn(&mut Value)| {
        let mut message = message("r_1");
        edit(&mut message);
        message
    };
    vec![
        ("a URL in the method", with(&|message| method(message)["url"] = json!(url))),
        ("GitLab's URL in the method", with(&|message| method(message)["gitlabUrl"] = json!(url))),
        ("a host in the method", with(&|message| method(message)["host"] = json!("evil.test"))),
        ("headers in the method", with(&|message| method(message)["headers"] = json!({ "Host": "evil.test" }))),
        ("a setting among the inputs", with(&|message| message["payload"]["properties"]["base_url"] = json!(url))),
        (
            "headers in the message",
            with(&|message| message["headers"] = json!({ "Host": "evil.test", "X-Forwarded-Host": url })),
        ),
    ]
}

#[tokio::test]
async fn no_message_names_the_host() {
    let trap = Trap::set();
    for (name, message) in messages_with_hosts(&trap.url()) {
        let world = World::new().await;
        world.sandbox.glint.run("r_1");
        assert_eq!(world.queue(&[&message.to_string()]).await, [0; 0], "{name}");
        let triggers = world.sandbox.journal.of(Call::Trigger);
        assert_eq!(triggers.len(), 1, "{name}");
        let host = world.sandbox.gitlab.url().replace("http://", "");
        assert_eq!(
            (triggers[0].path_and_query.as_str(), triggers[0].header("host")),
            (TRIGGER_PATH, Some(host.as_str()))
        );
    }
    assert!(trap.is_untouched());
}

#[tokio::test]
async fn the_link_of_a_201_is_the_pipeline_s_page_and_holds_no_token() {
    for link in [
        "javascript:alert(1)",
        "data:text/html,x",
        "//evil.test/x",
        "https://gitlab.test/a\nb",
        "https://evil.test/acme/backend/billing/-/pipelines/8",
        "https://evil.test/?/acme/backend/billing/-/pipelines/7",
        &*format!("https://gitlab.test/{}", "x".repeat(2048)),
        &*format!("https://gitlab.test/x?token={TOKEN}"),
        &*format!("https://{TOKEN}.test/acme/backend/billing/-/pipelines/7"),
    ] {
        let world = World::new().await;
        world.sandbox.glint.run("r_1");
        let body = json!({ "id": 7, "project_id": 1, "web_url": link }).to_string();
        world.sandbox.fail(Call::Trigger).with(Fault::status_with(201, body));
        assert_eq!(world.queue(&[&message("r_1").to_string()]).await, [0; 0], "{link}");
        let built = format!("{}/{PROJECT}/-/pipelines/7", world.sandbox.gitlab.url());
        assert_eq!(world.run("r_1").links(), [built], "{link}");
    }
}

#[tokio::test]
async fn a_base_url_that_would_give_tokens_away_stops_the_start() {
    for (name, url) in [
        ("clear text", "http://gitlab.example.com"),
        ("a name that only begins like loopback", "http://127.0.0.1.evil.test"),
        ("loopback as user information", "http://127.0.0.1@evil.test"),
        ("a password", "https://user:pw-canary@gitlab.example.com"),
        ("another scheme", "ftp://gitlab.example.com"),
        ("a file", "file:///etc/passwd"),
        ("a query", "https://gitlab.example.com?x=1"),
        ("a fragment", "https://gitlab.example.com#x"),
        ("the metadata service", "http://169.254.169.254"),
        ("no URL", "gitlab.example.com"),
    ] {
        let sandbox = sandbox::Sandbox::start().await;
        furnish(&sandbox);
        let (code, printed) = Function::spawn(&sandbox, &[("GITLAB_URL", url)]).ended().await;
        assert_eq!(code, Some(1), "{name}");
        assert!(printed.contains("`GITLAB_URL`") && printed.contains("hint: "), "{name}: {printed}");
        assert!(!printed.contains("pw-canary"), "{printed}");
        assert_eq!(sandbox.connections(Upstream::Glint), 0, "{name}");
    }
}

#[tokio::test]
async fn a_base_url_in_capitals_is_the_same_host() {
    let sandbox = sandbox::Sandbox::start().await;
    furnish(&sandbox);
    sandbox.glint.run("r_1");
    let url = sandbox.gitlab.url().replace("http://127.0.0.1", "HTTP://LOCALHOST");
    let world = World::builder().settings(&[("GITLAB_URL", &url)]).around(sandbox);
    assert_eq!(world.queue(&[&message("r_1").to_string()]).await, [0; 0]);
    assert_eq!(world.sandbox.gitlab.pipelines()[0].project, PROJECT);
}
