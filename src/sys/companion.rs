//! A process that waits beside this one for its end, and then becomes this program anew, under another name.
//!
//! A fork would copy the page tables, and every page that either side writes to afterwards: 0.2 ms of a launch. This
//! one shares the memory (CLONE_VM) and touches nothing of the caller's: it has a stack of its own, makes system calls
//! that can't fail (errno is the caller's, too), and leaves by exec or _exit. Whoever kills all that share a memory, as
//! the kernel does when it is short of it, ends both; signals find them one by one.

use super::check;
use nix::errno::Errno;
use std::ffi::{CStr, c_char, c_int, c_void};
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::sync::atomic::{AtomicBool, Ordering};

/// Bytes for a few system calls.
const STACK: usize = 16 << 10;

/// What both sides look at; never freed.
struct Shared {
    pipe: RawFd,
    /// Its other end, which is to be the caller's alone.
    other: RawFd,
    name: &'static CStr,
    dismissed: AtomicBool,
}

/// The caller's side.
#[must_use]
pub struct Companion {
    /// Its process id, to be waited for.
    pub pid: i32,
    shared: &'static Shared,
}

unsafe extern "C" {
    static environ: *const *const c_char;
}

impl Companion {
    /// Makes it. When `other`, the other end of `pipe`, is closed and nobody has dismissed it, it executes this program as
    /// `name`, with the pipe as standard input.
    pub fn start(name: &'static CStr, pipe: &OwnedFd, other: &OwnedFd) -> Result<Self, Errno> {
        let shared: &'static Shared = Box::leak(Box::new(Shared {
            pipe: pipe.as_raw_fd(),
            other: other.as_raw_fd(),
            name,
            dismissed: AtomicBool::new(false),
        }));
        // Units of the stack's alignment; of what is zeroed by the kernel, only what is used costs a page.
        let stack: &'static mut [u128] = Box::leak(vec![0; STACK / 16].into_boxed_slice());
        // SAFETY: the stack is used by nobody else and never freed, its end is aligned; `attend` keeps to what the
        // module promises; without CLONE_FILES and CLONE_SIGHAND its descriptors and signals are its own.
        let pid = check(unsafe {
            libc::clone(
                attend,
                stack.as_mut_ptr_range().end.cast::<c_void>(),
                libc::CLONE_VM | libc::SIGCHLD,
                (&raw const *shared).cast_mut().cast::<c_void>(),
            ) as libc::c_long
        })?;
        Ok(Self {
            pid: pid as i32,
            shared,
        })
    }

    /// It ends when the pipe is closed.
    pub fn dismiss(&self) {
        self.shared.dismissed.store(true, Ordering::Release);
    }
}

extern "C" fn attend(shared: *mut c_void) -> c_int {
    // SAFETY: what `start` leaked; only read, but for the atomic.
    let shared = unsafe { &*shared.cast::<Shared>().cast_const() };
    // SAFETY: system calls with plain numbers and pointers to what lives as long as the process. The descriptors are
    // this process's own copies. None of them can fail: both ends are open, and neither has the number 0. (Before
    // Linux 5.9 close_range does, and there nothing is launched.)
    unsafe {
        libc::setsid(); // it leads no process group: it is not two moments old
        let mut ignore: libc::sigaction = std::mem::zeroed();
        ignore.sa_sigaction = libc::SIG_IGN;
        for signal in super::process::CALLERS_SIGNALS {
            libc::sigaction(signal, &ignore, std::ptr::null_mut());
        }
        libc::prctl(libc::PR_SET_NAME, shared.name.as_ptr());
        libc::close(shared.other);
        let pipe = shared.pipe as libc::c_long;
        libc::syscall(
            libc::SYS_close_range,
            0 as libc::c_long,
            pipe - 1,
            0 as libc::c_long,
        );
        libc::syscall(
            libc::SYS_close_range,
            pipe + 1,
            i32::MAX as libc::c_long,
            0 as libc::c_long,
        );
        let mut end = libc::pollfd {
            fd: shared.pipe,
            events: 0, // the end alone is looked for, not what was written
            revents: 0,
        };
        while end.revents == 0 {
            libc::poll(&mut end, 1, -1);
        }
        if shared.dismissed.load(Ordering::Acquire) {
            return 0;
        }
        // The caller is gone, or waits for this process: nothing is shared any more.
        libc::dup3(shared.pipe, 0, 0);
        let argv = [shared.name.as_ptr(), std::ptr::null()];
        libc::execve(c"/proc/self/exe".as_ptr(), argv.as_ptr(), environ);
        1
    }
}
