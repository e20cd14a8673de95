use super::*;

#[test]
fn a_report_comes_back_as_it_was_written() {
    let id = RunId::parse("r_1").unwrap();
    let update = RunPatch { links: vec!["https://a".to_owned()], ..RunPatch::label("GitLab pipeline created") };
    let report = RunReport { log: Some("line".to_owned()), update };
    let now = DateTime::UNIX_EPOCH;
    let body = write_report(&id, &report, now);
    assert!(body.starts_with(r#"{"v":1,"runId":"r_1""#), "{body}");
    assert_eq!(read_report(&body).unwrap(), QueuedReport { run_id: id, report, queued_at: Some(now) });
}

#[test]
fn members_that_are_unknown_or_missing_do_no_harm() {
    let queued = read_report(r#"{"v":2,"runId":"r_1","colour":"red"}"#).unwrap();
    assert_eq!((queued.run_id.as_str(), queued.report, queued.queued_at), ("r_1", RunReport::default(), None));
    let event = read_hook(r#"{"v":2,"pipelineId":7,"projectId":3,"url":"u","project":"a/b","status":"success","x":1}"#);
    assert_eq!(event.unwrap().pipeline.external_id().as_deref(), Some("gl_3_7"));
}

#[test]
fn what_cannot_be_read_names_its_version() {
    for (body, words) in [
        (r#"{"v":9,"pipelineId":"seven"}"#, "the queued hook of version 9 cannot be read by version 1"),
        (
            r#"{"v":2,"pipelineId":7,"projectId":3,"url":"u","project":"a/b","status":"asleep"}"#,
            "version 2 cannot be read by version 1: it has an unknown `status`",
        ),
        ("nonsense", "the queued hook of version 0"),
    ] {
        let error = read_hook(body).unwrap_err().to_string();
        assert!(error.contains(words), "{error}");
        assert!(!error.contains("runId"), "{error}");
    }
}

#[test]
fn what_cannot_be_read_is_not_repeated_at_its_length() {
    let long = "x".repeat(10_000);
    for body in [format!(r#""{long}""#), format!(r#"{{"v":1,"pipelineId":"{long}"}}"#)] {
        let error = read_hook(&body).unwrap_err().to_string();
        assert!(error.contains("xxx") && error.len() < 200, "{} bytes", error.len());
    }
    let error = read_report(&format!(r#"{{"runId":"r_1","status":"{long}\n"}}"#)).unwrap_err().to_string();
    assert!(error.len() < 200 && !error.contains('\n'), "{} bytes", error.len());
}

#[test]
fn a_runs_attributes_are_those_that_say_something() {
    let attributes = RunAttributes { url: Some("/acme/shop".to_owned()), run_id_header: None };
    let written = attributes.to_attributes();
    assert_eq!(written, [(RUN_URL, "/acme/shop".to_owned()), (RUN_VERSION, "1".to_owned())]);
    let read = |name: &str| written.iter().find(|(key, _)| *key == name).map(|(_, value)| value.as_str());
    assert_eq!(RunAttributes::read(read), Some(attributes));
    assert_eq!(RunAttributes::read(|_| None), None);
}
