//! Settings that cannot work stop the cold start, each with one sentence that names it.

use serde_json::Value;

use super::certificates::{authority_pem, file};
use crate::support::{Function, furnish, invoke, message, sqs_event};
use sandbox::{Reply, Sandbox};

/// What a function with these settings says before it ends, in its log and to whoever invoked it.
async fn fault(settings: &[(&str, &str)]) -> String {
    let sandbox = Sandbox::start().await;
    let (code, printed) = Function::spawn(&sandbox, settings).ended().await;
    assert_eq!(code, Some(1), "{printed}");
    let line: Value = serde_json::from_str(&printed).unwrap_or_else(|error| panic!("{error}: {printed}"));
    assert_eq!(sandbox.runtime.init_error().unwrap()["errorMessage"], line["message"]);
    assert!(sandbox.journal.calls().is_empty(), "nothing is asked for");
    line["message"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn each_setting_that_cannot_work_is_named_with_what_is_wrong() {
    const PROXY: &str = "HTTPS_PROXY";
    const TOKENS: &str = "GITLAB_TOKENS_SECRET_ID";
    const OUTPUTS: &str = "OUTPUTS_FILE";
    let table = [
        ("GITLAB_URL", "http://gitlab.example.com", "would send tokens in clear text"),
        ("GITLAB_URL", "gitlab.example.com", "is no URL"),
        ("GLINT_API_URL", "api.example.com", "is no URL\n  hint: give it as `https://api.useglint.io`"),
        ("GLINT_API_URL", "https://user:hunter2@api.example.com", "holds a user name or password"),
        ("GLINT_API_URL", "https://api.example.com/?v=1", "has a query or a fragment"),
        ("RUNS_QUEUE_URL", "https://sqs.eu-west-1.amazonaws.com/1/runs", "names a queue that is not FIFO"),
        ("RUNS_QUEUE_URL", "arn:aws:sqs:eu-west-1:1:runs.fifo", "is no https URL"),
        (TOKENS, "{project}", "has nothing before `{project}`"),
        (TOKENS, "arn:aws:secretsmanager:eu-west-1:1:secret:{project}", "has nothing before `{project}`"),
        (TOKENS, "glint/{project}", "covers the secret `glint/credentials`"),
        (TOKENS, "g{project}", "covers the secret `glint/credentials`"),
        (TOKENS, "tokens/{project}/{project}", "holds `{project}` twice"),
        (OUTPUTS, "/tmp/glint.json", "is an absolute path"),
        (OUTPUTS, "out/../glint.json", "holds `.`, `..` or an empty part"),
        (OUTPUTS, "out//glint.json", "holds `.`, `..` or an empty part"),
        (OUTPUTS, "out\tglint.json", "holds a control character"),
        (PROXY, "proxy.example.com:3128", "has no `http://` or `https://` before its host"),
        (PROXY, "http:/proxy.example.com:3128", "has no `http://`"),
        (PROXY, "htp://proxy.example.com:3128", "is no http or https proxy"),
        (PROXY, "socks5://proxy.example.com:1080", "is no http or https proxy"),
        (PROXY, "http://user:hunter2@proxy.example.com:99999", "is no URL with a host"),
        (PROXY, "http://user:hunter2@", "is no URL with a host"),
        (PROXY, "http://pro xy:3128", "holds white space"),
        (PROXY, "\"http://proxy.example.com:3128\"", "is no http or https proxy"),
        (PROXY, "http://proxy.example.com:3128/path", "has a path, a query or a fragment"),
        ("https_proxy", "proxy.example.com:3128", "has no `http://`"),
        ("ALL_PROXY", "proxy.example.com:3128", "has no `http://`"),
    ];
    for (variable, value, sentence) in table {
        let message = fault(&[(variable, value)]).await;
        assert!(message.starts_with("1 of the function's settings cannot be used"), "{variable}={value}: {message}");
        assert!(message.contains(&format!("`{variable}` {sentence}")), "{variable}={value}: {message}");
        assert!(message.contains("hint: ") && !message.contains("hunter2"), "{message}");
    }
}

#[tokio::test]
async fn a_file_without_a_certificate_that_can_be_used_is_a_fault() {
    let pem = authority_pem();
    let body: String = pem.lines().filter(|line| !line.starts_with("-----")).collect();
    let der = base64::Engine::decode(&base64::prelude::BASE64_STANDARD, body).unwrap();
    let indented: String = pem.lines().map(|line| format!("  {line}\n")).collect();
    let glued = format!("{}{}", pem.trim_end(), authority_pem());
    let table: [(&str, Vec<u8>, &str); 9] = [
        ("DER", der, "holds no PEM text; a certificate in DER can be converted"),
        ("empty", Vec::new(), "holds no certificate"),
        ("text", b"Subject: CN = example\n".to_vec(), "holds no certificate"),
        ("indented", indented.into_bytes(), "(line 1: a beginning that is indented)"),
        (
            "trusted",
            pem.replace("CERTIFICATE", "TRUSTED CERTIFICATE").into_bytes(),
            "(line 1: a `TRUSTED CERTIFICATE` of OpenSSL",
        ),
        ("glued", glued.into_bytes(), "an end and a beginning share this line"),
        ("cut", pem.as_bytes()[..pem.len() - 40].to_vec(), "(line 1: a certificate that does not end)"),
        ("broken", pem.replacen("MII", "M!I", 1).into_bytes(), "(line 1: a certificate"),
        (
            "key",
            pem.replace("CERTIFICATE", "PRIVATE KEY").into_bytes(),
            "(line 1: a private key, which does not belong here)",
        ),
    ];
    for (name, content, sentence) in table {
        let path = file(&format!("start-{name}.pem"), &content);
        let message = fault(&[("SSL_CERT_FILE", path.to_str().unwrap())]).await;
        assert!(message.contains("`SSL_CERT_FILE` holds no") && message.contains(sentence), "{name}: {message}");
    }
    let message = fault(&[("SSL_CERT_FILE", "/nowhere/roots.pem")]).await;
    assert!(message.contains("`SSL_CERT_FILE` cannot be read: entity not found"), "{message}");
}

#[tokio::test]
async fn faults_of_settings_and_files_are_reported_together() {
    let message =
        fault(&[("SSL_CERT_FILE", "/nowhere"), ("HTTPS_PROXY", "proxy"), ("GITLAB_TOKENS_SECRET_ID", "{project}")])
            .await;
    assert!(message.starts_with("3 of the function's settings"), "{message}");
}

#[tokio::test]
async fn urls_may_end_as_the_documentation_of_their_apis_shows_them() {
    let sandbox = Sandbox::start().await;
    furnish(&sandbox);
    sandbox.glint.run("r_1");
    let (gitlab, glint) = (format!("{}/api/v4/", sandbox.gitlab.url()), format!("{}/v1", sandbox.glint.url()));
    let settings =
        [("GITLAB_URL", gitlab.as_str()), ("GLINT_API_URL", glint.as_str()), ("HTTPS_PROXY", " http://127.0.0.1:9 ")];
    let mut function = Function::start(&sandbox, &settings).await;
    let reply = invoke(&sandbox, sqs_event(&[&message("r_1").to_string()], 1)).await;
    assert!(matches!(reply, Reply::Response(_)));
    let printed = function.kill().await;
    assert_eq!(sandbox.gitlab.pipelines().len(), 1, "{printed}");
}
