//! URLs: a request's path and query, the action's own URL, and links that others set.

use secrecy::SecretString;
use serde_json::json;

use super::message::assert_one_segment;
use super::{GITLAB, TRIGGER_TOKEN, assert_sentence, assert_shown, deliveries};
use crate::config::Config;
use crate::gitlab::types::{GitRef, parse_pipeline_page, pipeline_in, pipeline_page};
use crate::http::BaseUrl;
use crate::outcome::Outcome;
use crate::source::{DeliveryMetadata, target_of_action_url};
use crate::trigger::project_of_url;
use crate::verify::{RequestUrl, url_key};

/// A first line with path and query of a request, and the action's URL behind it; or a whole event of a function URL.
///
/// Whatever they are, a project that is read from them is one segment, a key holds for its URL alone, and no path leaves its base.
pub fn url(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let (request, other) = text.split_once('\n').unwrap_or((text, text));
    assert_canonical(request, other);
    assert_keys_hold(request, other);
    assert_request_is_read(request, other);
    assert_below_base(request);
    assert_pages(other);
    drop(target_of_action_url(other));
    deliveries(text).iter().for_each(|delivery| judge_metadata(&delivery.metadata));
    match Config::read(|name| (name == "GITLAB_URL").then(|| other.to_owned())) {
        Ok(config) => assert!(BaseUrl::parse(&config.gitlab_url).is_ok(), "{}", config.gitlab_url),
        Err(faults) => assert!(faults.to_string().contains("GITLAB_URL")),
    }
}

/// The canonical text is one for all spellings, and an action's URL with that end matches.
fn assert_canonical(request: &str, action: &str) {
    let parsed = RequestUrl::parse(request);
    let canonical = parsed.canonical();
    assert!(canonical.bytes().all(|byte| byte.is_ascii_graphic()), "{canonical:?}");
    assert_eq!(RequestUrl::parse(&canonical).canonical(), canonical);
    let path = parsed.path();
    let survives = path.is_ascii() && !path.split('/').any(|segment| matches!(segment, "." | ".."));
    let own = format!("https://fn.example.com/base{canonical}");
    if survives && !path.is_empty() {
        assert_eq!(parsed.matches_end_of(&own, None), Some(true), "{own}");
    }
    if parsed.matches_end_of(action, None) == Some(true) && !path.is_empty() {
        let action = ::url::Url::parse(action.trim()).expect("what matches is a URL");
        let action = RequestUrl::new(action.path(), "").path().to_ascii_lowercase();
        assert!(action.ends_with(&path.to_ascii_lowercase()), "{action:?} {path:?}");
    }
}

/// A key proves the URL that it was made for, under that token, and no other.
fn assert_keys_hold(request: &str, other: &str) {
    let token = SecretString::from(TRIGGER_TOKEN);
    let (parsed, key) = (RequestUrl::parse(request), url_key(&token, request));
    assert!(parsed.is_proven_by(&key, &token) && !parsed.is_proven_by(&key, &SecretString::from("glptt-other")));
    assert!(!parsed.is_proven_by(other, &token), "{other:?}");
    let is_same = RequestUrl::parse(other).canonical() == parsed.canonical();
    assert_eq!(RequestUrl::parse(other).is_proven_by(&key, &token), is_same);
}

/// A request with that path and query is one delivery, which says what the URL says.
fn assert_request_is_read(request: &str, stage: &str) {
    let (path, query) = request.split_once('?').unwrap_or((request, ""));
    for (host, stage) in
        [("fn.lambda-url.eu-west-1.on.aws", "$default"), ("a.execute-api.eu-west-1.amazonaws.com", stage)]
    {
        let context = json!({ "http": { "method": "POST" }, "domainName": host, "stage": stage });
        let event = json!({ "rawPath": path, "rawQueryString": query, "requestContext": context, "body": "{}" });
        let found = deliveries(&event.to_string());
        let [delivery] = found.as_slice() else { panic!("{} deliveries", found.len()) };
        judge_metadata(&delivery.metadata);
        if let (Some(url), "$default") = (&delivery.metadata.url, stage) {
            assert_eq!(RequestUrl::parse(url), RequestUrl::parse(request), "{url}");
        }
    }
}

fn judge_metadata(metadata: &DeliveryMetadata) {
    let target = &metadata.target;
    if let Some(url) = &metadata.url {
        // What a message attribute of SQS takes.
        assert!(url.chars().all(|c| c != ' ' && !c.is_control()), "{url:?}");
        assert_eq!(target.project.clone().unwrap_or_default(), RequestUrl::parse(url).path());
    }
    match target.project.as_deref().map(project_of_url) {
        Some(Ok(project)) => assert_one_segment(&project.segment()),
        Some(Err(fault)) => assert_shown(Outcome::Invalid(fault)),
        None => {}
    }
    match target.default_ref.as_deref().map(GitRef::parse) {
        Some(Ok(git_ref)) => assert!(!git_ref.as_str().contains(char::is_control) && !git_ref.as_str().contains("..")),
        Some(Err(fault)) => assert_sentence(fault),
        None => {}
    }
}

/// A path below a base is refused, or begins with all of the base.
fn assert_below_base(path: &str) {
    let base = BaseUrl::parse(GITLAB).expect("a URL");
    if let Ok(url) = base.below(path) {
        assert_eq!(url.as_str(), format!("{GITLAB}/{path}"));
        let inner = url.path().strip_prefix("/sub/").expect("it is below the base");
        assert!(!inner.split('/').any(|segment| matches!(segment, "." | "..")), "{url}");
    }
}

/// A link is taken for a pipeline's page only where the page is shown as that link.
fn assert_pages(link: &str) {
    let Some((project, id)) = parse_pipeline_page(link, GITLAB) else { return };
    let page = pipeline_page(link, GITLAB, project, id);
    assert!(page.to_ascii_lowercase().ends_with(&format!("/-/pipelines/{id}")), "{page:?}");
    assert!(pipeline_in(link, project).is_none_or(|found| found == id), "{link}");
}
