//! Opens what will be needed, all at once: connections to Glint and GitLab, and the reads of secrets that are due.
//!
//! Best effort: what fails here is met again, and reported, where it is needed.

use super::context::Context;
use crate::source::Delivery;

/// What an invocation will need.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Needs {
    /// Glint and GitLab, with a login and the trigger tokens.
    Everything,
    /// Glint's client secret, to verify signatures; what passes is put on the queue.
    Verification,
    Nothing,
}

impl Needs {
    /// What the deliveries need before anything of them is verified. A request to the URL may be anybody's, so nothing is opened for it.
    pub fn of(deliveries: &[Delivery], enqueues: bool) -> Self {
        let is_http = |delivery: &Delivery| matches!(delivery.metadata.source, crate::source::Source::Http);
        if deliveries.is_empty() || deliveries.iter().any(is_http) {
            Self::Nothing
        } else if enqueues && deliveries.iter().all(|delivery| delivery.metadata.source.should_enqueue()) {
            Self::Verification
        } else {
            Self::Everything
        }
    }
}

impl Context {
    /// Opens what `needs` says.
    pub async fn warm_up(&self, needs: Needs) {
        match needs {
            Needs::Nothing => {}
            Needs::Verification => drop(self.credentials().await),
            Needs::Everything => {
                // The secrets first: their connection is the one that everything else waits for.
                let reads = async {
                    let (login, tokens) = tokio::join!(
                        self.glint(self.app.glint.log_in(self.freshness())),
                        self.app.secrets.projects(self.freshness())
                    );
                    drop((login, tokens));
                };
                tokio::join!(reads, self.app.glint.connect_ahead(), self.app.gitlab.connect_ahead());
            }
        }
    }
}
