//! Reads settings, one method for each kind, and collects every fault.

use std::fmt;

use reqwest::Url;

/// What is wrong with the settings: every fault, each with its variable and a hint.
#[derive(Debug)]
pub struct Faults(Vec<Fault>);

#[derive(Debug)]
struct Fault {
    variable: &'static str,
    what: String,
    hint: String,
}

impl fmt::Display for Faults {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        write!(formatter, "{} of the function's settings cannot be used", self.0.len())?;
        for Fault { variable, what, hint } in &self.0 {
            write!(formatter, "\n`{variable}` {what}\n  hint: {hint}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Faults {}

/// Reads one variable after the other, and collects what is wrong with them.
pub struct Reader<V> {
    variable: V,
    faults: Vec<Fault>,
}

impl<V: Fn(&str) -> Option<String>> Reader<V> {
    pub fn new(variable: V) -> Self {
        Self { variable, faults: Vec::new() }
    }

    /// `value`, if nothing was wrong.
    pub fn finish<T>(self, value: T) -> Result<T, Faults> {
        if self.faults.is_empty() { Ok(value) } else { Err(Faults(self.faults)) }
    }

    pub fn text(&self, variable: &'static str) -> Option<String> {
        (self.variable)(variable).map(|text| text.trim().to_owned()).filter(|text| !text.is_empty())
    }

    pub fn fault(&mut self, variable: &'static str, what: impl Into<String>, hint: impl Into<String>) {
        self.faults.push(Fault { variable, what: what.into(), hint: hint.into() });
    }

    /// A base URL without a trailing slash, and without `suffix`, which its API's documentation may have shown at its end.
    pub fn base_url(&mut self, variable: &'static str, default: &str, suffix: &str) -> String {
        let text = self.text(variable).unwrap_or_else(|| default.to_owned());
        if let Err((what, hint)) = validate_base_url(&text) {
            self.fault(variable, what, hint.replace(GITLAB_EXAMPLE, default));
        }
        // As a URL parser writes it, host in lower case and without the default port: each request is compared with that.
        let written = Url::parse(&text).map_or(text, String::from);
        let written = written.trim_end_matches('/');
        written.strip_suffix(suffix).unwrap_or(written).trim_end_matches('/').to_owned()
    }

    /// The path of a file among a job's artifacts.
    pub fn artifact_path(&mut self, variable: &'static str) -> Option<String> {
        const HINT: &str = "give the path as it stands under `artifacts: paths:`, such as `glint.json`";
        let text = self.text(variable)?;
        let is_step = |part: &str| matches!(part, "" | "." | "..");
        if text.chars().any(char::is_control) {
            self.fault(variable, "holds a control character", HINT);
        } else if text.starts_with('/') {
            self.fault(variable, "is an absolute path", HINT);
        } else if text.split('/').any(is_step) {
            self.fault(variable, "holds `.`, `..` or an empty part, which no artifact's path has", HINT);
        }
        Some(text)
    }

    pub fn queue_url(&mut self, variable: &'static str) -> Option<String> {
        let text = self.text(variable)?;
        if let Err((what, _)) = validate_base_url(&text) {
            self.fault(variable, what, "give the queue's URL as the SQS console shows it, not its name or ARN");
        } else if !text.ends_with(".fifo") {
            self.fault(
                variable,
                "names a queue that is not FIFO",
                "use a FIFO queue: it keeps two receives of one run apart",
            );
        }
        Some(text)
    }

    pub fn queue_arn(&mut self, variable: &'static str) -> Option<String> {
        let text = self.text(variable)?;
        if !(text.starts_with("arn:") && text.contains(":sqs:")) {
            self.fault(
                variable,
                "is no ARN of an SQS queue",
                "give the dead-letter queue's ARN, such as `arn:aws:sqs:eu-west-1:123456789012:runs-dead.fifo`",
            );
        }
        Some(text)
    }

    pub fn boolean(&mut self, variable: &'static str) -> bool {
        self.choice(variable, &[("false", false), ("true", true)])
    }

    /// One of a few words, the first being the default.
    pub fn choice<T: Copy>(&mut self, variable: &'static str, choices: &[(&str, T)]) -> T {
        let Some(text) = self.text(variable) else { return choices[0].1 };
        if let Some((_, value)) = choices.iter().find(|(word, _)| text.eq_ignore_ascii_case(word)) {
            return *value;
        }
        let words: Vec<String> = choices.iter().map(|(word, _)| format!("`{word}`")).collect();
        self.fault(
            variable,
            format!("is {text:?}, not {}", words.join(" or ")),
            "unset it for the default, which is the first",
        );
        choices[0].1
    }

    pub fn number(&mut self, variable: &'static str, default: u32, least: u32, most: u32) -> u32 {
        let Some(text) = self.text(variable) else { return default };
        match text.parse() {
            Ok(number) if (least..=most).contains(&number) => number,
            _ => {
                self.fault(
                    variable,
                    format!("is {text:?}, not a whole number from {least} to {most}"),
                    "unset it for the default",
                );
                default
            }
        }
    }

    pub fn list(&mut self, variable: &'static str) -> Vec<String> {
        let text = self.text(variable).unwrap_or_default();
        let names: Vec<String> =
            text.split(',').map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned).collect();
        if let Some(name) =
            names.iter().find(|name| !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_'))
        {
            self.fault(
                variable,
                format!("holds {name:?}, which is no variable name"),
                "separate names by commas, without `$` or quotes",
            );
        }
        names
    }
}

const GITLAB_EXAMPLE: &str = "https://gitlab.example.com";

/// Whether `text` may carry a token: https, or http to this very machine, without anything behind the path.
fn validate_base_url(text: &str) -> Result<(), (&'static str, &'static str)> {
    const FORM: &str = "give it as `https://gitlab.example.com`, with a sub-path where there is one";
    let url = Url::parse(text).map_err(|_| ("is no URL", FORM))?;
    let loopback = match url.host() {
        Some(url::Host::Domain(name)) => name == "localhost",
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    };
    match url.scheme() {
        "https" => {}
        "http" if loopback => {}
        "http" => return Err(("would send tokens in clear text", "use `https`; plain `http` is for loopback alone")),
        _ => return Err(("is no https URL", FORM)),
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(("holds a user name or password", "take them out: tokens come from Secrets Manager"));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(("has a query or a fragment", FORM));
    }
    Ok(())
}
