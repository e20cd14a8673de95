//! A plain HTTP client, for what is neither the function nor the sandbox.

use reqwest::{Client, redirect};

/// Follows no redirect and uses no proxy. TLS is the function's provider, since the crate brings no other.
pub fn plain_client() -> Client {
    // Fails where another test was first, which is as good.
    drop(rustls::crypto::ring::default_provider().install_default());
    let builder = Client::builder().no_proxy().redirect(redirect::Policy::none());
    builder.build().expect("a plain client builds")
}
