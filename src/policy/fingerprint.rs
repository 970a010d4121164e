//! A certificate's fingerprint as RFC 5425 (4.2.2) writes it: "sha-256:", then its bytes in hexadecimal digits with colons
//! between them. `openssl x509 -noout -fingerprint -sha256` shows the latter part.

use serde::{Deserialize, Serialize};
use std::fmt;

const KIND: &str = "sha-256:";

/// SHA-256 of a certificate (DER).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Fingerprint(pub [u8; 32]);

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let pairs: Vec<String> = self.0.iter().map(|b| format!("{b:02X}")).collect();
        write!(f, "{KIND}{}", pairs.join(":"))
    }
}

impl From<Fingerprint> for String {
    fn from(own: Fingerprint) -> Self {
        own.to_string()
    }
}

impl TryFrom<String> for Fingerprint {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let bytes = || {
            let digits = text.strip_prefix(KIND)?;
            let pair = |p: &str| {
                let right = p.len() == 2 && p.bytes().all(|b| b.is_ascii_hexdigit());
                right.then(|| u8::from_str_radix(p, 16).ok()).flatten()
            };
            let bytes: Option<Vec<u8>> = digits.split(':').map(pair).collect();
            bytes?.try_into().ok()
        };
        bytes().map(Self).ok_or_else(|| {
            "a fingerprint is wanted: \"sha-256:\" and 32 bytes as hexadecimal digits with colons, as `openssl x509 \
             -noout -fingerprint -sha256` shows them"
                .into()
        })
    }
}

#[cfg(test)]
impl schemars::JsonSchema for Fingerprint {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Fingerprint".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": "string",
            "pattern": "^sha-256:[0-9A-Fa-f]{2}(:[0-9A-Fa-f]{2}){31}$"
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_are_read_as_they_are_written() {
        let text = format!("sha-256:{}FF", "0a:".repeat(31));
        let read = Fingerprint::try_from(text.clone()).unwrap();
        assert_eq!((read.0[0], read.0[31]), (10, 255));
        assert_eq!(read.to_string(), text.replace("0a", "0A"));
        for wrong in [
            "",
            "sha-256:",
            "sha-1:0a",
            &text[8..],
            &text[..text.len() - 3],
            &format!("{text}:00"),
            &text.replace("FF", "+F"),
            &text.replace("FF", "é"),
        ] {
            assert!(Fingerprint::try_from(wrong.to_string()).is_err(), "{wrong}");
        }
    }
}
