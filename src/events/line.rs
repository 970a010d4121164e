//! An event as one line of JSON of at most 8 KiB, and back. Whatever a container named something, it is one line.
//!
//! JSON escapes control characters, so no name begins a line of its own. A line that would be too long is shortened
//! text by text, never cut in the middle.

use super::model::Event;
use serde_json::Value;

/// The longest line, with its line feed.
pub const MOST: usize = 8192;

/// A line that is no event.
#[derive(Debug, thiserror::Error)]
pub enum ParseError {
    /// Longer than any event.
    #[error("it is longer than {MOST} bytes")]
    TooLong,
    /// Not JSON, or another shape.
    #[error("{0}")]
    Shape(#[from] serde_json::Error),
}

/// Reads a line; unknown fields are those of a later version, and skipped.
pub fn parse(line: &[u8]) -> Result<Event, ParseError> {
    if line.len() > MOST {
        return Err(ParseError::TooLong);
    }
    Ok(serde_json::from_slice(line)?)
}

impl Event {
    /// The line, with its line feed: at most [`MOST`] bytes.
    pub fn line(&self) -> Vec<u8> {
        let whole = ended(serde_json::to_vec(self).unwrap_or_default());
        if whole.len() <= MOST {
            return whole;
        }
        let mut value = serde_json::to_value(self).unwrap_or_default();
        value["shortened"] = true.into();
        let (mut characters, mut items) = (1024, 64);
        loop {
            shorten(&mut value, characters, items);
            let line = ended(serde_json::to_vec(&value).unwrap_or_default());
            if line.len() <= MOST {
                return line;
            }
            // A character is at most six bytes of JSON, so this ends.
            (characters, items) = (characters / 2, (items / 2).max(4));
        }
    }
}

fn ended(mut line: Vec<u8>) -> Vec<u8> {
    line.push(b'\n');
    line
}

/// Shortens every text and every list.
fn shorten(value: &mut Value, characters: usize, items: usize) {
    match value {
        Value::String(text) => {
            if let Some((at, _)) = text.char_indices().nth(characters) {
                text.truncate(at);
                text.push('…');
            }
        }
        Value::Array(all) => {
            all.truncate(items.max(6));
            all.iter_mut().for_each(|v| shorten(v, characters, items));
        }
        Value::Object(all) => all.values_mut().for_each(|v| shorten(v, characters, items)),
        _ => {}
    }
}
