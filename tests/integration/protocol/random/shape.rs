//! The Glints of the histories.

use std::time::Duration;

use sandbox::{ExternalId, Sandbox};

use super::history::Shape;

/// Makes the sandbox's Glint keep and show what this one does.
pub fn apply(sandbox: &Sandbox, shape: Shape) {
    sandbox.glint.shape(|glint| match shape {
        Shape::Everything => {}
        Shape::ReadsLag => (glint.stale_reads, glint.ended) = (Duration::from_secs(5), 409),
        Shape::NoLabel => glint.shows_label = false,
        Shape::NoLink => glint.shows_link = false,
        Shape::NoExternalRunId => glint.shows_external_id = false,
        Shape::RefusesExternalRunId => glint.external_id = ExternalId::Refused,
        Shape::OnlyLink => (glint.keeps_label, glint.external_id) = (false, ExternalId::Dropped),
        Shape::Nothing => glint.show_nothing(),
    });
}
