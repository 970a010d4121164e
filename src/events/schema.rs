//! The JSON Schema of an event, generated from the types and kept in profiles/.
//!
//! A test only: `UPDATE=1 cargo test schema` rewrites the file.

use super::Event;
use crate::policy::schema::compare;

#[test]
fn the_events_schema_is_that_of_the_types() {
    compare::<Event>("events.schema.json", "cofferdam event");
}
