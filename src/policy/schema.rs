//! The JSON Schemas of both files, generated from the types and kept in profiles/.
//!
//! A test only: `UPDATE=1 cargo test schema` rewrites the files.

use super::{ExceptionFile, PolicyFile};
use schemars::{JsonSchema, schema_for};

#[track_caller]
pub(crate) fn compare<T: JsonSchema>(name: &str, title: &str) {
    let mut schema = schema_for!(T);
    schema.insert("title".into(), title.into());
    let text = serde_json::to_string_pretty(&schema).unwrap() + "\n";
    let path = format!("{}/profiles/{name}", env!("CARGO_MANIFEST_DIR"));
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&path, &text).unwrap();
    }
    let stored = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        stored == text,
        "{path} is not what the types say; UPDATE=1 cargo test schema rewrites it"
    );
}

#[test]
fn schemas_are_those_of_the_types() {
    compare::<PolicyFile>("policy.schema.json", "cofferdam site policy");
    compare::<ExceptionFile>("exceptions.schema.json", "cofferdam exceptions");
}
