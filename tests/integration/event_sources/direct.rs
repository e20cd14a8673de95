//! Direct invokes of the built binary.

use std::time::Duration;

use serde_json::json;

use crate::support::{Function, furnish, message};
use sandbox::{Reply, Sandbox};

const TIME: Duration = Duration::from_secs(45);

#[tokio::test]
async fn no_client_context_ends_the_process() {
    let sandbox = Sandbox::start().await;
    furnish(&sandbox);
    let mut function = Function::start(&sandbox, &[]).await;
    let contexts = [
        r#"{"client":{"installation_id":"1","app_title":"t","app_version_name":"1","app_version_code":"1","app_package_name":"p"},"custom":{}}"#,
        r#"{"custom":{"attempt":1}}"#,
        r#"{"client":{}}"#,
        r#"{"env":null,"custom":null}"#,
        "[]",
        "no JSON",
        "",
    ];
    for (number, client_context) in contexts.into_iter().enumerate() {
        let run = format!("r_{number}");
        sandbox.glint.run(&run);
        let reply = sandbox.runtime.invoke_from(Some(client_context), message(&run), TIME).await;
        let Reply::Response(body) = reply else { panic!("{client_context}: {reply:?}: {}", function.printed()) };
        assert_eq!((&body["outcome"], &body["runId"]), (&json!("Started"), &json!(run)), "{client_context}");
    }
    function.kill().await;
}
