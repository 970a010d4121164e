//! Memory of a launch: small pieces of one block, in order, given back with the process.
//!
//! A launch asks for some thousand pieces and has ended before most of them are worth giving back; the C library's
//! bookkeeping for them is a quarter of all that a launch computes. Here a piece costs an addition. What does not fit
//! into the block, large pieces, and everything before [`open`] are the C library's, so a process that goes on for days
//! grows by the block at most.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::UnsafeCell;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// Bytes of the block; of what is zeroed by the kernel, only what is used costs a page.
const BLOCK: usize = 384 << 10;

/// Larger pieces (buffers, texts that grow) are worth giving back, in bytes.
const LARGEST: usize = 2048;

/// The program's memory, for `#[global_allocator]`.
pub struct Memory;

#[repr(align(4096))]
struct Block(UnsafeCell<[u8; BLOCK]>);

// SAFETY: nobody refers to the array; each piece of it belongs to whom `piece` gave it.
unsafe impl Sync for Block {}

static PIECES: Block = Block(UnsafeCell::new([0; BLOCK]));

/// How much of the block is given out; all of it until it is opened.
static USED: AtomicUsize = AtomicUsize::new(BLOCK);

/// From now on small pieces are of the block.
pub fn open() {
    // Once: what was given out stays given out.
    static OPENED: AtomicBool = AtomicBool::new(false);
    if !OPENED.swap(true, Ordering::Relaxed) {
        USED.store(0, Ordering::Relaxed);
    }
}

fn start() -> *mut u8 {
    PIECES.0.get().cast()
}

/// Where in the block it begins; `None`: it is the C library's.
fn place(piece: *mut u8) -> Option<usize> {
    let at = (piece as usize).wrapping_sub(start() as usize);
    (at < BLOCK).then_some(at)
}

/// Moves the end of what is given out, if it still is where the caller has seen it.
fn moved(from: usize, to: usize) -> bool {
    // What is taken back was written by another thread, maybe.
    USED.compare_exchange(from, to, Ordering::AcqRel, Ordering::Relaxed)
        .is_ok()
}

/// The next piece, if it is small and there is room.
fn piece(layout: Layout) -> Option<*mut u8> {
    if layout.size() > LARGEST || layout.align() > align_of::<Block>() {
        return None;
    }
    loop {
        let used = USED.load(Ordering::Relaxed);
        let from = used.checked_next_multiple_of(layout.align())?;
        let to = from + layout.size();
        if to > BLOCK {
            return None;
        }
        if moved(used, to) {
            return Some(start().wrapping_add(from));
        }
    }
}

// SAFETY: a piece lies in the block, is aligned as asked and overlaps no other: only who moves the end from the value
// that it has seen owns what lies between. The last piece alone is taken back or changed in place, by its owner. The
// rest is System's.
unsafe impl GlobalAlloc for Memory {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        match piece(layout) {
            Some(piece) => piece,
            // SAFETY: the caller's promise, handed on.
            None => unsafe { System.alloc(layout) },
        }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        match piece(layout) {
            Some(piece) => {
                // SAFETY: it has this size and nobody else's data; it may have been somebody's before.
                unsafe { piece.write_bytes(0, layout.size()) };
                piece
            }
            // SAFETY: the caller's promise, handed on.
            None => unsafe { System.alloc_zeroed(layout) },
        }
    }

    unsafe fn dealloc(&self, piece: *mut u8, layout: Layout) {
        match place(piece) {
            Some(at) => drop(moved(at + layout.size(), at)),
            // SAFETY: not of the block, so System has given it out.
            None => unsafe { System.dealloc(piece, layout) },
        }
    }

    unsafe fn realloc(&self, piece: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        let Some(at) = place(piece) else {
            // SAFETY: not of the block, so System has given it out.
            return unsafe { System.realloc(piece, layout, size) };
        };
        let end = at + layout.size();
        if size <= LARGEST && at + size <= BLOCK && moved(end, at + size) {
            return piece;
        }
        if size <= layout.size() {
            return piece;
        }
        // SAFETY: a layout that is larger than a valid one, with the same alignment; the caller promises that its size
        // does not overflow.
        let larger = unsafe { Layout::from_size_align_unchecked(size, layout.align()) };
        // SAFETY: the new piece has more than the old one's size, and they do not overlap: both are given out.
        unsafe {
            let new = self.alloc(larger);
            if !new.is_null() {
                new.copy_from_nonoverlapping(piece, layout.size());
                self.dealloc(piece, layout);
            }
            new
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A piece that is filled with a byte of its own.
    struct Held {
        at: *mut u8,
        layout: Layout,
        byte: u8,
    }

    impl Held {
        fn new(size: usize, align: usize, byte: u8) -> Self {
            let layout = Layout::from_size_align(size, align).unwrap();
            // SAFETY: the size is not 0.
            let at = unsafe { Memory.alloc(layout) };
            assert!(!at.is_null());
            assert_eq!(at as usize % align, 0, "{layout:?}");
            // SAFETY: that much was asked for.
            unsafe { at.write_bytes(byte, size) };
            Self { at, layout, byte }
        }

        fn is_whole(&self, size: usize) -> bool {
            // SAFETY: given out and written.
            let bytes = unsafe { std::slice::from_raw_parts(self.at, size) };
            bytes.iter().all(|b| *b == self.byte)
        }

        fn resize(&mut self, size: usize) {
            let kept = size.min(self.layout.size());
            // SAFETY: given out with this layout; the size is not 0.
            self.at = unsafe { Memory.realloc(self.at, self.layout, size) };
            assert!(!self.at.is_null());
            assert!(self.is_whole(kept), "{:?} to {size}", self.layout);
            self.layout = Layout::from_size_align(size, self.layout.align()).unwrap();
            // SAFETY: that much was asked for.
            unsafe { self.at.write_bytes(self.byte, size) };
        }

        fn end(self) {
            assert!(self.is_whole(self.layout.size()), "{:?}", self.layout);
            // SAFETY: given out with this layout, and not used again.
            unsafe { Memory.dealloc(self.at, self.layout) };
        }
    }

    /// More than the block holds, of all sizes, by several threads: what is whole at its end was nobody else's meanwhile.
    fn many(byte: u8, mut seed: u32) {
        let mut next = move |below: usize| {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (seed >> 8) as usize % below
        };
        let mut held = Vec::new();
        for _ in 0..4000 {
            match next(8) {
                0..4 => held.push(Held::new(1 + next(2 * LARGEST / 8), 1 << next(8), byte)),
                4 => held.push(Held::new(1 + next(2 * LARGEST), 8, byte)),
                5 if !held.is_empty() => {
                    let at = next(held.len());
                    held[at].resize(1 + next(2 * LARGEST));
                }
                6 => held.pop().map_or((), Held::end),
                _ if !held.is_empty() => held.swap_remove(next(held.len())).end(),
                _ => {}
            }
        }
        held.into_iter().for_each(Held::end);
    }

    /// Nobody holds a piece any more.
    fn empty() {
        USED.store(0, Ordering::Relaxed);
    }

    fn zeroed(size: usize) {
        Held::new(size, 16, 0xff).end();
        let layout = Layout::from_size_align(size, 16).unwrap();
        // SAFETY: the size is not 0.
        let at = unsafe { Memory.alloc_zeroed(layout) };
        assert_eq!(place(at).is_some(), size <= LARGEST, "{size}");
        let byte = 0;
        Held { at, layout, byte }.end();
    }

    /// One test: there is one block.
    #[test]
    fn pieces_are_aligned_whole_and_apart() {
        let before = Held::new(8, 8, 1);
        assert_eq!(place(before.at), None, "it is not open");
        open();
        [1, 64, LARGEST, LARGEST + 1].into_iter().for_each(zeroed);
        for round in 0..20 {
            empty();
            std::thread::scope(|scope| {
                for byte in 1..5 {
                    scope.spawn(move || many(byte, round * 7 + u32::from(byte)));
                }
            });
            assert!(USED.load(Ordering::Relaxed) > BLOCK / 2, "it was used");
        }
        open();
        assert!(USED.load(Ordering::Relaxed) > 0, "it is opened once");
        before.end();
    }
}
