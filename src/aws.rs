//! Secrets Manager (cached) and SQS, both over our HTTP client.

mod http_adapter;
pub mod secrets;
pub mod sqs;

pub use http_adapter::{secrets_manager_client, sqs_client};
