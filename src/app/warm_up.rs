//! Opens what will be needed, all at once: connections to Glint and GitLab, and the reads of secrets that are due.
//!
//! Best effort: what fails here is met again, and reported, where it is needed.

use super::context::Context;
use crate::source::{Delivery, Source};

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
    pub fn new(deliveries: &[Delivery], enqueues: bool) -> Self {
        let is_http = |delivery: &Delivery| matches!(delivery.metadata.source, Source::Http);
        if deliveries.is_empty() || deliveries.iter().any(is_http) {
            Self::Nothing
        } else if enqueues && deliveries.iter().all(|delivery| delivery.metadata.source.should_enqueue()) {
            Self::Verification
        } else {
            Self::Everything
        }
    }
}

/// Opens what `needs` says.
pub async fn warm_up(context: &Context, needs: Needs) {
    let app = &context.app;
    match needs {
        Needs::Nothing => {}
        Needs::Verification => drop(context.credentials().await),
        Needs::Everything => {
            let login = context.glint(app.glint.log_in(context.freshness()));
            let tokens = app.secrets.token_keys(context.freshness());
            let connections = async { tokio::join!(app.glint.connect_ahead(), app.gitlab.connect_ahead()) };
            let (login, tokens, _) = tokio::join!(login, tokens, connections);
            drop((login, tokens));
        }
    }
}
