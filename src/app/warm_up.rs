//! Opens connections to Glint and GitLab and reads the secrets that are due, all at once.
//!
//! Best effort: a failure here happens, and is reported, where it is needed too.

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
    /// What the deliveries need before anything of them is verified. Nothing is opened for a request to the URL, since anybody may send one.
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
            let login = context.glint(app.glint.log_in(context.call_limits()));
            let tokens = app.secrets.token_keys(context.call_limits());
            let connections = async { tokio::join!(app.glint.connect_ahead(), app.gitlab.connect_ahead()) };
            let (login, tokens, _) = tokio::join!(login, tokens, connections);
            drop((login, tokens));
        }
    }
}
