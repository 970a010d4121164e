//! System calls that ought to be refused, for the audit's tester: made raw, so that nothing stands in between.
//!
//! Called by `audit::probes` in a process that exists for nothing else. A call never takes memory away from Rust
//! (`call` refuses the few that could); what it is given lives as long as the process.

use std::ffi::CString;

/// What a call answered: 0, or an errno.
pub type Errno = i32;

/// Never made: each would pull memory or the stack from under the caller, or not return.
const NOT_HERE: [libc::c_long; 10] = [
    libc::SYS_munmap,
    libc::SYS_mremap,
    libc::SYS_mmap,
    libc::SYS_brk,
    libc::SYS_exit,
    libc::SYS_exit_group,
    libc::SYS_rt_sigreturn,
    libc::SYS_clone,
    libc::SYS_clone3,
    libc::SYS_madvise,
];

/// Makes a call and says 0 or its errno. A new descriptor that it returns stays open.
pub fn call(nr: libc::c_long, a: [u64; 6]) -> Errno {
    value(nr, a).map_or_else(|errno| errno, |_| 0)
}

/// Makes a call and gives what it returned.
pub fn value(nr: libc::c_long, a: [u64; 6]) -> Result<i64, Errno> {
    if NOT_HERE.contains(&nr) {
        return Err(libc::EINVAL);
    }
    // SAFETY: the probes pass numbers, NULL, and what `text` and `buffer` made, which is never freed; the calls that
    // could unmap or end are refused above; the kernel answers EFAULT to any other address.
    match unsafe { libc::syscall(nr, a[0], a[1], a[2], a[3], a[4], a[5]) } {
        -1 => Err(last()),
        n => Ok(n),
    }
}

fn last() -> Errno {
    std::io::Error::last_os_error().raw_os_error().unwrap_or(0)
}

/// A string that lives as long as the process, as a call takes it.
pub fn text(text: &str) -> u64 {
    CString::new(text).unwrap_or_default().into_raw() as u64
}

/// 4 KiB of zeroes that the kernel may write to.
pub fn buffer() -> u64 {
    Box::leak(Box::new([0u64; 512])).as_mut_ptr() as u64
}

/// These words in memory that stays, as a call takes them.
pub fn words(words: &[u64]) -> u64 {
    Box::leak(words.to_vec().into_boxed_slice()).as_mut_ptr() as u64
}

/// A call that makes a process (fork, vfork, clone, clone3): the child ends at once, in the kernel's own words, and
/// touches no memory of ours.
#[cfg(target_arch = "x86_64")]
pub fn born(nr: libc::c_long, a: [u64; 6]) -> Errno {
    let made: i64;
    // SAFETY: the child of the call goes on behind `syscall` with rax = 0 and does nothing but exit_group(0); it uses
    // no stack, so not even vfork's shared one is touched. The kernel changes rax, rcx and r11 only.
    unsafe {
        std::arch::asm!(
            "syscall",
            "test rax, rax",
            "jnz 2f",
            "xor edi, edi",
            "mov eax, 231",
            "syscall",
            "2:",
            inlateout("rax") nr => made,
            inlateout("rdi") a[0] => _,
            in("rsi") a[1], in("rdx") a[2], in("r10") a[3], in("r8") a[4], in("r9") a[5],
            lateout("rcx") _, lateout("r11") _,
        );
    }
    born_as(made)
}

/// A call that makes a process (clone, clone3): the child ends at once.
#[cfg(not(target_arch = "x86_64"))]
pub fn born(nr: libc::c_long, a: [u64; 6]) -> Errno {
    // SAFETY: no CLONE_VM in what the probes pass, so the child has memory of its own, and calls exit_group alone.
    let made = unsafe { libc::syscall(nr, a[0], a[1], a[2], a[3], a[4], a[5]) };
    if made == 0 {
        super::process::exit_now(0);
    }
    born_as(if made < 0 { -i64::from(last()) } else { made })
}

fn born_as(made: i64) -> Errno {
    if made < 0 {
        return -made as Errno;
    }
    // SAFETY: collects the child that was just made; NULL asks for no status.
    unsafe { libc::waitpid(made as i32, std::ptr::null_mut(), 0) };
    0
}

/// Maps a page of memory with this protection; its address.
pub fn map(protection: i32, shared: bool) -> Result<u64, Errno> {
    let kind = if shared {
        libc::MAP_SHARED
    } else {
        libc::MAP_PRIVATE
    };
    let flags = kind | libc::MAP_ANONYMOUS;
    // SAFETY: a new anonymous mapping where the kernel likes; nobody else knows it.
    let at = unsafe { libc::mmap(std::ptr::null_mut(), 4096, protection, flags, -1, 0) };
    match at == libc::MAP_FAILED {
        true => Err(last()),
        false => Ok(at as u64),
    }
}

/// Maps the first page of a file privately.
pub fn map_file(fd: i32, protection: i32) -> Errno {
    // SAFETY: a new mapping where the kernel likes, which nobody reads.
    let at = unsafe {
        libc::mmap(
            std::ptr::null_mut(),
            4096,
            protection,
            libc::MAP_PRIVATE,
            fd,
            0,
        )
    };
    match at == libc::MAP_FAILED {
        true => last(),
        false => 0,
    }
}

/// A 32-bit system call with two arguments (x86_64: int 0x80): what it returned.
#[cfg(target_arch = "x86_64")]
pub fn foreign(nr: i32, a: u32, b: u32) -> i64 {
    let answer: i64;
    // SAFETY: rbx is saved by hand since LLVM keeps it; the kernel changes rax and r8 to r11 only. The calls that the
    // probes make (getpid, socketcall) write no memory of ours.
    unsafe {
        std::arch::asm!(
            "push rbx", "mov rbx, {a}", "int 0x80", "pop rbx",
            a = in(reg) u64::from(a),
            inlateout("rax") i64::from(nr) => answer,
            in("rcx") u64::from(b),
            out("r8") _, out("r9") _, out("r10") _, out("r11") _,
        );
    }
    i64::from(answer as i32)
}

/// Three words below 4 GiB, where a 32-bit call can point at them.
#[cfg(target_arch = "x86_64")]
pub fn low_words(words: [u32; 3]) -> Option<u32> {
    let at = 0x1000_0000usize;
    let protection = libc::PROT_READ | libc::PROT_WRITE;
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED_NOREPLACE;
    // SAFETY: MAP_FIXED_NOREPLACE takes no memory that is in use; the page is ours when it succeeds.
    unsafe {
        let page = libc::mmap(at as *mut libc::c_void, 4096, protection, flags, -1, 0);
        if page as usize != at {
            return None;
        }
        page.cast::<[u32; 3]>().write(words);
    }
    Some(at as u32)
}

/// A program by descriptor or path: returns only on failure.
pub fn execute(path: &str, fd: Option<i32>, argv: &[&str]) -> Errno {
    let mut pointers: Vec<u64> = argv.iter().map(|a| text(a)).collect();
    pointers.push(0);
    let (argv, envp) = (words(&pointers), words(&[0]));
    match fd {
        None => call(libc::SYS_execve, [text(path), argv, envp, 0, 0, 0]),
        Some(fd) => {
            let flags = if path.is_empty() {
                libc::AT_EMPTY_PATH as u64
            } else {
                0
            };
            call(
                libc::SYS_execveat,
                [fd as i64 as u64, text(path), argv, envp, flags, 0],
            )
        }
    }
}

/// The soft and the hard limit of open files.
pub fn open_files() -> (u64, u64) {
    let mut limit = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: getrlimit fills the struct.
    unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit) };
    (limit.rlim_cur, limit.rlim_max)
}

/// Sets them.
pub fn set_open_files(soft: u64, hard: u64) -> Errno {
    let limit = libc::rlimit {
        rlim_cur: soft,
        rlim_max: hard,
    };
    // SAFETY: a valid struct that is only read.
    match unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &limit) } {
        0 => 0,
        _ => last(),
    }
}

/// CPU time of this process in milliseconds.
pub fn cpu_time() -> u64 {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: clock_gettime fills the struct.
    unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &mut time) };
    time.tv_sec as u64 * 1000 + time.tv_nsec as u64 / 1_000_000
}

/// Maps a page of shared memory and writes to it, so that it is there.
pub fn map_touched() -> Result<u64, Errno> {
    let at = map(libc::PROT_READ | libc::PROT_WRITE, true)?;
    // SAFETY: the page has just been mapped for us, writable.
    unsafe { (at as *mut u8).write_volatile(1) };
    Ok(at)
}
