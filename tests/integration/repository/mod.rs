//! Rules that the code keeps, and whether documents, settings and code say the same.

mod code_rules;
pub mod documents;
mod imports;
mod minimum_rust;
mod settings;
mod source_files;
