//! Where records come from: what the shipper needs of a spool.
//!
//! The spool's reader is one; tests and benches have others. Numbers are those of [`Record::seq`].

use super::super::Record;
use super::trouble::Trouble;
use std::os::fd::BorrowedFd;

/// A row of numbered records that can be read again from any number on.
pub trait Source {
    /// The next record, or none for now.
    fn next(&mut self) -> Result<Option<Record<'_>>, Trouble>;
    /// Goes on with the record behind this number; 0 for the first that there is.
    fn seek(&mut self, after: u64) -> Result<(), Trouble>;
    /// The last number that was kept as delivered by an earlier shipper; 0 if none was.
    fn delivered(&self) -> u64;
    /// Keeps that everything up to this number is delivered.
    fn keep(&mut self, delivered: u64) -> Result<(), Trouble>;
    /// How many records there are behind this number; 0 if nobody can say.
    fn waiting(&self, _delivered: u64) -> u64 {
        0
    }
    /// Become readable when there may be more, or no more will come; none if that is only found out by asking.
    fn wake(&self) -> [Option<BorrowedFd<'_>>; 2];
    /// Takes the readiness back, before asking for what there is.
    fn woken(&mut self) {}
    /// No record will come any more but those that `next` still returns.
    fn ended(&self) -> bool;
    /// Nor will any come from whatever follows this row: what can't be delivered soon is left.
    fn is_last(&self) -> bool {
        self.ended()
    }
}

impl<S: Source> Source for &mut S {
    fn next(&mut self) -> Result<Option<Record<'_>>, Trouble> {
        (**self).next()
    }

    fn seek(&mut self, after: u64) -> Result<(), Trouble> {
        (**self).seek(after)
    }

    fn delivered(&self) -> u64 {
        (**self).delivered()
    }

    fn keep(&mut self, delivered: u64) -> Result<(), Trouble> {
        (**self).keep(delivered)
    }

    fn waiting(&self, delivered: u64) -> u64 {
        (**self).waiting(delivered)
    }

    fn wake(&self) -> [Option<BorrowedFd<'_>>; 2] {
        (**self).wake()
    }

    fn woken(&mut self) {
        (**self).woken();
    }

    fn ended(&self) -> bool {
        (**self).ended()
    }

    fn is_last(&self) -> bool {
        (**self).is_last()
    }
}
