//! Secrets Manager (cached) and SQS, both over our HTTP client.

mod http_adapter;
mod init_error;
pub mod queue_message;
pub mod secrets;
pub mod sqs;

pub use http_adapter::{secrets_manager_client, sqs_client};
pub use init_error::report_init_error;
