//! A segment's head: what its frames belong to, and the link of the chain to the segment before.
//!
//! Read and written through a file at hand; never larger than [`MOST_HEAD`].

use super::super::record::Origin;
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::os::unix::fs::FileExt;

const MAGIC: &[u8; 8] = b"CFSPOOL1";

/// Largest head, in bytes.
pub(super) const MOST_HEAD: usize = 16 << 10;

/// What stands in front of a segment's frames.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// Number of the segment, as in its name.
    pub number: u64,
    /// Number of the first record in it.
    pub first_seq: u64,
    /// Where its records come from.
    pub origin: Origin,
    /// Goes into each frame's checksum: 32 hexadecimal digits by chance.
    pub salt: String,
    /// CLOCK_REALTIME when it was begun, in nanoseconds.
    pub begun_ns: u64,
    /// SHA-256 of the whole segment before, in hexadecimal digits; none in the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous: Option<String>,
}

impl Head {
    /// As it stands in the file.
    pub(super) fn bytes(&self) -> Vec<u8> {
        let body = serde_json::to_vec(self).unwrap_or_default();
        let mut out = Vec::with_capacity(16 + body.len());
        out.extend_from_slice(MAGIC);
        out.extend_from_slice(&(body.len() as u32).to_le_bytes());
        out.extend_from_slice(&crc32fast::hash(&body).to_le_bytes());
        out.extend_from_slice(&body);
        out
    }

    /// The head of a file and the place of its first frame; `None` if it is damaged.
    pub(super) fn read(file: &File) -> std::io::Result<Option<(Self, u64)>> {
        let mut top = [0u8; 16];
        if fill(file, &mut top, 0)? < top.len() || &top[..8] != MAGIC {
            return Ok(None);
        }
        let four = |at: usize| u32::from_le_bytes(top[at..at + 4].try_into().unwrap_or_default());
        let (len, sum) = (four(8) as usize, four(12));
        if len > MOST_HEAD {
            return Ok(None);
        }
        let mut body = vec![0u8; len];
        if fill(file, &mut body, 16)? < len || crc32fast::hash(&body) != sum {
            return Ok(None);
        }
        let head = serde_json::from_slice(&body).ok();
        Ok(head.map(|head| (head, 16 + len as u64)))
    }
}

/// Reads until the buffer is full or the file ends; how many bytes.
pub(super) fn fill(file: &File, buffer: &mut [u8], at: u64) -> std::io::Result<usize> {
    let mut got = 0;
    while got < buffer.len() {
        match file.read_at(&mut buffer[got..], at + got as u64) {
            Ok(0) => break,
            Ok(n) => got += n,
            Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(got)
}
