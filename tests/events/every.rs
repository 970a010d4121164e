//! Of each kind of event one: those that the library's own tests use.

use cofferdam::events::*;

#[path = "../../src/events/samples.rs"]
pub mod samples;
