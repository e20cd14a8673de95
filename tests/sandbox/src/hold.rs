//! Requests that wait at a chosen moment until a test lets them go on.

use std::sync::Arc;
use tokio::sync::watch;

/// Where a request waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HoldAt {
    /// Before anything of it is applied.
    Before,
    /// After it was applied, before it is answered.
    After,
    /// Its connection is closed at once, and it is applied when it is released.
    Unanswered,
}

#[derive(Default)]
pub(crate) struct Gate {
    reached: watch::Sender<bool>,
    released: watch::Sender<bool>,
    applied: watch::Sender<bool>,
}

impl Gate {
    pub async fn wait(&self) {
        self.reached.send_replace(true);
        let mut released = self.released.subscribe();
        // The gate itself keeps the sender.
        let _ = released.wait_for(|released| *released).await;
    }

    pub fn applied(&self) {
        self.applied.send_replace(true);
    }
}

/// A request that waits at a chosen moment. Dropping the hold releases it.
#[must_use = "a hold that is dropped releases at once"]
pub struct Hold(pub(crate) Arc<Gate>);

impl Hold {
    /// Returns once the request waits.
    pub async fn reached(&self) {
        let mut reached = self.0.reached.subscribe();
        let _ = reached.wait_for(|reached| *reached).await;
    }

    pub fn release(&self) {
        self.0.released.send_replace(true);
    }

    /// Releases a request whose connection is gone, and returns once it is applied.
    pub async fn apply(&self) {
        self.release();
        let mut applied = self.0.applied.subscribe();
        let _ = applied.wait_for(|applied| *applied).await;
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.release();
    }
}
