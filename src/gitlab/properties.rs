//! Property tests: projects and refs, judged a second time by rules that were written independently, and hooks of any shape.

use proptest::prelude::*;
use sandbox::arbitrary::{config, hostile_text, json};
use url::Url;

use super::types::{GitRef, Project};
use super::webhook;

/// GitLab's rule for a path, character by character.
fn is_path(path: &str) -> bool {
    let parts: Vec<&str> = path.split('/').collect();
    let is_groups = |group: &&str| !group.ends_with('.');
    let (groups, ours) = (&parts[..parts.len() - 1], !path.to_ascii_lowercase().starts_with("api/v4/"));
    (2..=21).contains(&parts.len())
        && path.len() <= 1024
        && ours
        && groups.iter().all(is_groups)
        && parts.iter().all(|part| is_part(part))
}

fn is_part(part: &str) -> bool {
    for (index, character) in part.chars().enumerate() {
        let fits = match character {
            'a'..='z' | 'A'..='Z' | '0'..='9' | '_' | '.' => true,
            '-' => index > 0,
            _ => false,
        };
        if !fits {
            return false;
        }
    }
    let reserved = [".git", ".atom"]
        .iter()
        .any(|end| part.len() >= end.len() && part[part.len() - end.len()..].eq_ignore_ascii_case(end));
    (1..=255).contains(&part.len()) && !reserved && part != "." && part != ".."
}

/// `git check-ref-format --branch`, rule by rule as its manual lists them, and the two rules of our own.
fn is_ref(name: &str) -> bool {
    let is_short_enough = name.len() <= 255;
    // A branch or tag by its whole name.
    let name = name.strip_prefix("refs/heads/").or_else(|| name.strip_prefix("refs/tags/")).unwrap_or(name);
    let parts = || name.split('/');
    let ours = !name.starts_with("refs/") && is_short_enough;
    let one = parts().all(|part| !part.starts_with('.') && !part.ends_with(".lock"));
    let three = !name.contains("..");
    let four = name.chars().all(|c| !c.is_control() && !" ~^:".contains(c));
    let five = !name.contains(['?', '*', '[']);
    let six = parts().all(|part| !part.is_empty());
    let seven = !name.ends_with('.');
    let rest = !name.contains("@{") && name != "@" && !name.contains('\\') && !name.starts_with('-');
    ours && one && three && four && five && six && seven && rest
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn two_judges_of_a_project_agree(group in hostile_text(), name in hostile_text()) {
        let path = format!("{group}/{name}");
        prop_assert_eq!(Project::parse(&group, &name).is_ok(), is_path(&path), "{:?}", path);
        prop_assert_eq!(Project::parse_path(&path).is_ok(), is_path(&path), "{:?}", path);
    }

    #[test]
    fn a_projects_segment_is_one_segment_of_the_url_it_is_put_into(group in hostile_text(), name in hostile_text()) {
        let Ok(project) = Project::parse(&group, &name) else { return Ok(()) };
        let text = format!("https://gitlab.example.com/sub/api/v4/projects/{}/trigger/pipeline", project.segment());
        let url = Url::parse(&text).unwrap();
        prop_assert_eq!(url.as_str(), &text);
        let segments: Vec<&str> = url.path_segments().unwrap().collect();
        prop_assert_eq!(segments.len(), 7);
        prop_assert_eq!(segments[4].replace("%2F", "/"), format!("{group}/{name}"));
    }

    #[test]
    fn a_project_by_its_id_is_digits_alone(text in prop_oneof!["[0-9]{0,21}", "[ +-]?[0-9]{1,4}[a-z.]?", "\\PC{0,4}"]) {
        let is_id = text.parse::<u64>().is_ok_and(|id| id > 0 && id.to_string() == text && text.len() <= 19);
        prop_assert_eq!(Project::by_id(&text).is_some(), is_id, "{:?}", text);
    }

    #[test]
    fn two_judges_of_a_ref_agree(name in prop_oneof![4 => hostile_text(), 1 => "(refs/)?[a-z.@{/]{0,8}(\\.lock)?(/[a-z.]{0,3})?"]) {
        let is_ref = is_ref(&name);
        prop_assert_eq!(GitRef::parse(&name).is_ok(), is_ref, "{:?}", name);
    }

    #[test]
    fn any_hook_is_read_or_refused(text in prop_oneof![json(), hostile_text()]) {
        drop(webhook::parse(&text, "https://gitlab.example.com"));
        drop(webhook::run_proof(&text));
    }
}
