//! What differs between Glints: what they show, keep, refuse and list, and how old an answer may be.

use super::Glint;
use std::collections::BTreeSet;
use std::time::Duration;

/// One Glint of those that are documented or known. The default shows and keeps everything at once.
#[derive(Clone, Debug, PartialEq)]
pub struct Shape {
    pub shows_external_id: bool,
    pub shows_label: bool,
    pub shows_link: bool,
    /// Labels are kept; else they are accepted and forgotten.
    pub keeps_label: bool,
    pub external_id: ExternalId,
    /// `external_run_id` narrows a list down; else everything is listed.
    pub filters_external_id: bool,
    pub lists: Lists,
    /// The status of a write to a run that has ended: 409 or 422.
    pub ended: u16,
    /// For so long after a write, a read shows the run as it was before.
    pub stale_reads: Duration,
    /// The same for lists.
    pub stale_lists: Duration,
    /// For so long after it was created, a run is not found.
    pub new_run_lag: Duration,
}

/// What a PATCH with `externalRunId` comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExternalId {
    Kept,
    /// 422, as the schema of older Glints says.
    Refused,
    /// The key is ignored.
    Dropped,
}

/// How lists of runs end, newest first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lists {
    /// At most `limit` runs, 1,000 at most, and nothing says that there are more.
    Whole,
    /// With a `next` token while there are more. A page has as many runs as the next of these sizes says, at most `limit`,
    /// and may be short or empty.
    Paged(Vec<usize>),
}

impl Default for Shape {
    fn default() -> Self {
        Self {
            shows_external_id: true,
            shows_label: true,
            shows_link: true,
            keeps_label: true,
            external_id: ExternalId::Kept,
            filters_external_id: true,
            lists: Lists::Whole,
            ended: 422,
            stale_reads: Duration::ZERO,
            stale_lists: Duration::ZERO,
            new_run_lag: Duration::ZERO,
        }
    }
}

impl Shape {
    /// Every Glint that differs in what it shows or takes, by name.
    pub fn all() -> Vec<(&'static str, Self)> {
        let shape = |change: fn(&mut Self)| {
            let mut shape = Self::default();
            change(&mut shape);
            shape
        };
        vec![
            ("shows everything", Self::default()),
            ("shows no external id", shape(|shape| shape.shows_external_id = false)),
            ("shows no label", shape(|shape| shape.shows_label = false)),
            ("shows no link", shape(|shape| shape.shows_link = false)),
            ("shows nothing that is written", shape(Self::show_nothing)),
            ("refuses the external id", shape(|shape| shape.external_id = ExternalId::Refused)),
            ("drops the external id", shape(|shape| shape.external_id = ExternalId::Dropped)),
            ("ignores the filter", shape(|shape| shape.filters_external_id = false)),
            ("forgets labels", shape(|shape| shape.keeps_label = false)),
            ("pages", shape(|shape| shape.lists = Lists::Paged(vec![2, 0, 1]))),
            ("answers 409 after the end", shape(|shape| shape.ended = 409)),
            ("reads lag", shape(|shape| shape.stale_reads = Duration::from_secs(5))),
            ("lists lag", shape(|shape| shape.stale_lists = Duration::from_secs(5))),
            ("new runs are unknown at first", shape(|shape| shape.new_run_lag = Duration::from_secs(5))),
        ]
    }

    /// Neither label nor link nor external id.
    pub fn show_nothing(&mut self) {
        (self.shows_external_id, self.shows_label, self.shows_link) = (false, false, false);
    }
}

impl Glint {
    /// Changes what this Glint is, from now on: `glint.shape(|shape| shape.shows_label = false)`.
    pub fn shape(&self, change: impl FnOnce(&mut Shape)) {
        change(&mut self.lock().shape);
    }

    pub fn set_shape(&self, shape: Shape) {
        self.lock().shape = shape;
    }

    /// The blueprints that there are, in the place of the sandbox's own; any other is 404.
    pub fn blueprints(&self, names: &[&str]) {
        self.lock().blueprints = names.iter().map(|name| (*name).to_owned()).collect();
    }

    /// Entities are refused with 403: the credentials may not write them.
    pub fn deny_entities(&self, denied: bool) {
        self.lock().denies_entities = denied;
    }
}

pub(super) fn default_blueprints() -> BTreeSet<String> {
    ["deployment", "service", "environment"].map(str::to_owned).into()
}
