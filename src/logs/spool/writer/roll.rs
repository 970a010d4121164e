//! The next segment: linked to the one before by its hash, and there with its whole head or not at all.

use super::super::folder::{self, name_of};
use super::super::segment::Head;
use super::super::{SpoolError, at};
use super::{Writer, hex};
use crate::logs::record::Origin;
use aws_lc_rs::digest;
use std::fs::File;
use std::os::fd::OwnedFd;

impl Writer {
    /// Begins the next segment, linked to this one.
    pub(super) fn roll(&mut self, now_ns: u64) -> Result<(), SpoolError> {
        self.sync()?;
        let previous = Some(hex(self.chain.clone()));
        let origin = &self.head.origin;
        let head = new_head(
            self.head.number + 1,
            self.next_seq,
            origin,
            previous,
            now_ns,
        )?;
        let (file, offset, chain) = begin(&self.dir, &head)?;
        self.room.used += offset;
        (self.head, self.file, self.offset, self.chain) = (head, file, offset, chain);
        Ok(())
    }
}

pub(super) fn new_head(
    number: u64,
    first_seq: u64,
    origin: &Origin,
    previous: Option<String>,
    begun_ns: u64,
) -> Result<Head, SpoolError> {
    let mut salt = [0u8; 16];
    let random = crate::sys::process::random(&mut salt).map_err(Into::into);
    at(random, "draw a salt for (getrandom)", &name_of(number))?;
    Ok(Head {
        number,
        first_seq,
        origin: origin.clone(),
        salt: crate::digest::hex(&salt),
        begun_ns,
        previous,
    })
}

/// Makes a segment: its name appears with its whole head.
pub(super) fn begin(
    dir: &OwnedFd,
    head: &Head,
) -> Result<(File, u64, digest::Context), SpoolError> {
    let bytes = head.bytes();
    let file = folder::write_whole(dir, &name_of(head.number), &bytes)?;
    let mut chain = digest::Context::new(&digest::SHA256);
    chain.update(&bytes);
    Ok((file, bytes.len() as u64, chain))
}
