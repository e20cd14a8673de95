//! Outputs as a careless or hostile job writes them.

use serde_json::json;

use super::*;

fn parse(text: &str) -> Outputs {
    Outputs::parse(text.as_bytes(), &Redactor::new([]))
}

/// The one fault of outputs of which nothing else is used.
fn fault(value: &Value) -> String {
    let outputs = parse(&value.to_string());
    assert_eq!(outputs.faults.len(), 1, "{outputs:?}");
    assert_eq!(
        Outputs { faults: Vec::new(), ..Outputs::default() },
        Outputs { faults: Vec::new(), ..parse(&value.to_string()) }
    );
    outputs.faults.into_iter().next().unwrap()
}

#[test]
fn every_part_is_read() {
    let outputs = parse(
        "\u{feff} {\"summary\":\"two\\nlines\",\"links\":[\"https://a.example.com/x?y#z\"],\"properties\":{\"imageTag\":\"1.4\",\"n\":[1,{\"a\":null}]},\"relations\":{\"service\":\"billing\",\"on\":[\"../a\",\"b\"],\"none\":null}}\n",
    );
    assert_eq!(outputs.faults, [""; 0]);
    assert_eq!(outputs.summary.as_deref(), Some("two lines"));
    assert_eq!(outputs.links, ["https://a.example.com/x?y#z"]);
    assert_eq!(Value::Object(outputs.properties), json!({ "imageTag": "1.4", "n": [1, { "a": null }] }));
    assert_eq!(Value::Object(outputs.relations), json!({ "service": "billing", "on": ["../a", "b"], "none": null }));
    assert_eq!(parse("{}"), Outputs::default());
    assert_eq!(parse(r#"{"summary":null,"links":null,"properties":null,"relations":null}"#), Outputs::default());
}

#[test]
fn a_file_that_is_no_object_of_bounded_size_is_not_used() {
    let deep = format!("{{\"properties\":{}1{}}}", "[".repeat(20), "]".repeat(20));
    let long = format!("{{\"summary\":\"{}\"}}", "x".repeat(MAX_OUTPUTS_BYTES));
    for text in ["", "nonsense", "[]", "\"text\"", "null", "{\"summary\":", "{} {}", "{\"a\":1,\"a\":2}", &deep, &long]
    {
        let outputs = parse(text);
        assert_eq!(outputs.faults.len(), 1, "{text}");
        assert_eq!(Outputs { faults: Vec::new(), ..outputs }, Outputs::default(), "{text}");
    }
    assert_eq!(Outputs::parse(b"{\"summary\":\"\xff\"}", &Redactor::new([])).faults, ["it is not UTF-8"]);
}

#[test]
fn a_member_of_the_wrong_type_is_named() {
    for (member, value) in [
        ("summary", json!(7)),
        ("summary", json!(["a"])),
        ("links", json!("https://a.example.com")),
        ("links", json!({})),
        ("properties", json!([])),
        ("properties", json!("a")),
        ("relations", json!(7)),
        ("identifier", json!("other")),
        ("blueprint", json!("other")),
        ("status", json!("SUCCESS")),
    ] {
        assert!(fault(&json!({ member: value })).contains(&format!("`{member}`")), "{member}");
    }
}

#[test]
fn only_plain_https_links_are_shown() {
    for link in [
        json!("http://a.example.com"),
        json!("javascript:alert(1)"),
        json!("//a.example.com"),
        json!("a.example.com"),
        json!("https://"),
        json!("https://user:pw@a.example.com"),
        json!("https://glpat-aBcDeFgHiJkLmNoPqRsT@a.example.com"),
        json!("https://a.example.com/?private_token=glpat-aBcDeFgHiJkLmNoPqRsT"),
        json!("https://a.example.com/\n"),
        json!("https://a.example.com/\u{0}"),
        json!("https://a.example.com/a b"),
        json!(format!("https://a.example.com/{}", "x".repeat(3000))),
        json!(7),
        json!(null),
        json!({ "url": "https://a.example.com" }),
    ] {
        assert!(fault(&json!({ "links": [link] })).contains("link 1"), "{link}");
    }
    let links: Vec<String> = (0..15).map(|number| format!("https://a.example.com/{number}")).collect();
    let outputs = parse(&json!({ "links": links }).to_string());
    assert_eq!((outputs.links.len(), outputs.faults.len()), (10, 1));
}

#[test]
fn what_the_function_sets_itself_cannot_be_replaced() {
    for name in ["jobUrl", "deployingUser", "commitSha", "$identifier", "$team", "a\u{1}", ""] {
        fault(&json!({ "properties": { name: "x" } }));
    }
    for value in [json!(7), json!({}), json!([7]), json!(true), json!(""), json!("a\nb"), json!(vec!["x"; 101])] {
        assert!(fault(&json!({ "relations": { "service": value } })).contains("`service` of `relations`"), "{value}");
    }
}

#[test]
fn a_token_in_the_file_is_shown_nowhere() {
    const TOKEN: &str = "glpat-aBcDeFgHiJkLmNoPqRsT";
    let secret = secrecy::SecretString::from("the read token");
    let text = json!({
        "summary": format!("made with {TOKEN} and the read token"),
        "links": [format!("https://a.example.com/{TOKEN}")],
        "properties": { "a": TOKEN, "b": { "c": [TOKEN] }, TOKEN: "d", "e": "the read token", "f": "kept" },
        "relations": { "g": TOKEN, "h": [TOKEN] },
        TOKEN: 1,
    });
    let outputs = Outputs::parse(text.to_string().as_bytes(), &Redactor::new([&secret]));
    let all = format!("{outputs:?}");
    assert!(!all.contains("glpat") && !all.contains("the read token"), "{all}");
    assert_eq!(Value::Object(outputs.properties), json!({ "f": "kept" }));
}

#[test]
fn many_members_and_many_faults_stay_a_short_list() {
    let many: Map<String, Value> = (0..500).map(|number| (format!("p{number}"), json!(number))).collect();
    let outputs = parse(&json!({ "properties": many }).to_string());
    assert_eq!((outputs.properties.len(), outputs.faults.len()), (MAX_MEMBERS, 1));
    let many: Map<String, Value> = (0..500).map(|number| (format!("x{number}"), json!(number))).collect();
    assert_eq!(parse(&Value::Object(many).to_string()).faults.len(), MAX_FAULTS + 1);
}
