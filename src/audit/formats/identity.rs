//! Identifiers that stay: the same thing has the same UUID in every report, on every machine.
//!
//! Made from names as version 5 is (RFC 9562), with SHA-256 in SHA-1's place.

use crate::audit::Subject;

/// What makes a subject the same one in another report: its kind, who runs it, its name.
pub fn key(subject: &Subject) -> String {
    let engine = subject.facts.iter().find(|(k, _)| k == "engine");
    let engine = engine.map_or("", |(_, v)| v);
    format!("{:?}/{engine}/{}", subject.kind, subject.name)
}

/// The UUID of a thing that is named by its parts.
pub fn uuid(parts: &[&str]) -> String {
    // A length in front of each part, so that no two lists of parts run together.
    let mut text = String::from("https://cofferdam/audit");
    for part in parts {
        text.push_str(&format!("|{}:{part}", part.len()));
    }
    let hex = crate::digest::sha256_hex(text.as_bytes());
    let variant = match hex.as_bytes()[16] {
        b'0' | b'4' | b'8' | b'c' => '8',
        b'1' | b'5' | b'9' | b'd' => '9',
        b'2' | b'6' | b'a' | b'e' => 'a',
        _ => 'b',
    };
    format!(
        "{}-{}-5{}-{variant}{}-{}",
        &hex[..8],
        &hex[8..12],
        &hex[13..16],
        &hex[17..20],
        &hex[20..32]
    )
}

#[cfg(test)]
mod tests {
    use super::uuid;

    #[test]
    fn they_stay_and_differ() {
        assert_eq!(uuid(&["a", "b"]), uuid(&["a", "b"]));
        assert_ne!(uuid(&["a", "b"]), uuid(&["ab"]));
        assert_ne!(uuid(&["a", "bc"]), uuid(&["ab", "c"]));
        let one = uuid(&["a"]);
        assert_eq!((one.len(), &one[14..15]), (36, "5"));
    }
}
