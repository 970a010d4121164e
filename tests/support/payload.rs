//! The program inside the fixtures: the test binary itself, when it is executed under the name `payload`.
//!
//! A function in .init_array looks at argv[0] before libtest's main begins; `payload!` puts it there. So no second
//! program has to be built, copied or kept, and whatever can be written in Rust can be tried from inside.

use std::io::Write;

/// Registers the payload of a test crate: `payload!()` for the verbs below, `payload!(f)` with
/// `f: fn(&str, &[String]) -> Option<i32>` for verbs of its own before them.
#[macro_export]
macro_rules! payload {
    () => {
        $crate::payload!(|_: &str, _: &[String]| None);
    };
    ($verbs:expr) => {
        const _: () = {
            extern "C" fn begin() {
                $crate::support::payload::begin($verbs);
            }
            // SAFETY: the C library calls each entry of .init_array once, with no thread beside it; std's own
            // entry, which fills in the arguments, has a higher priority and comes first.
            #[used]
            #[unsafe(link_section = ".init_array")]
            static BEGIN: extern "C" fn() = begin;
        };
    };
}

/// Called by `payload!` in every start of the test binary; returns unless it is the payload.
pub fn begin(verbs: fn(&str, &[String]) -> Option<i32>) {
    let args: Vec<String> = std::env::args().collect();
    let is_payload = args
        .first()
        .is_some_and(|a| a.rsplit('/').next() == Some("payload"));
    if !is_payload {
        return;
    }
    let verb = args.get(1).map_or("", String::as_str);
    let rest = args.get(2..).unwrap_or_default();
    let code = verbs(verb, rest).unwrap_or_else(|| basic(verb, rest));
    let _ = std::io::stdout().flush();
    std::process::exit(code)
}

/// What every payload can do. A failure prints `ERRNAME` (or the number) and ends with 1.
fn basic(verb: &str, args: &[String]) -> i32 {
    let arg = |n: usize| args.get(n).map_or("", String::as_str);
    match verb {
        // exit CODE
        "exit" => arg(0).parse().unwrap_or(99),
        // echo WORDS
        "echo" => {
            println!("{}", args.join(" "));
            0
        }
        // ready, then wait to be killed
        "wait" => {
            println!("ready");
            wait()
        }
        // cat FILES
        "cat" => args
            .iter()
            .map(|f| show(std::fs::read(f)))
            .max()
            .unwrap_or(0),
        // ls DIR
        "ls" => show(std::fs::read_dir(arg(0)).map(|entries| {
            let mut names: Vec<String> = entries
                .flatten()
                .map(|e| e.file_name().to_string_lossy().into_owned() + "\n")
                .collect();
            names.sort();
            names.concat().into_bytes()
        })),
        // write FILE TEXT
        "write" => show(std::fs::write(arg(0), arg(1)).map(|()| Vec::new())),
        // env
        "env" => {
            std::env::vars().for_each(|(k, v)| println!("{k}={v}"));
            0
        }
        // cwd
        "cwd" => {
            show(std::env::current_dir().map(|d| d.to_string_lossy().into_owned().into_bytes()))
        }
        // abort: ends by SIGABRT
        "abort" => std::process::abort(),
        other => {
            eprintln!("payload: no verb {other:?}");
            98
        }
    }
}

/// Waits until a signal ends the process.
pub fn wait() -> ! {
    loop {
        nix::unistd::pause();
    }
}

fn show(result: std::io::Result<Vec<u8>>) -> i32 {
    match result {
        Ok(bytes) => {
            let _ = std::io::stdout().write_all(&bytes);
            0
        }
        Err(error) => {
            println!("{}", errno_name(error.raw_os_error().unwrap_or(0)));
            1
        }
    }
}

/// `EPERM` and the like.
pub fn errno_name(errno: i32) -> String {
    match nix::errno::Errno::from_raw(errno) {
        nix::errno::Errno::UnknownErrno => errno.to_string(),
        known => format!("{known:?}"),
    }
}

/// Whether the kernel answers 32-bit system calls (getpid through int 0x80).
#[cfg(target_arch = "x86_64")]
pub fn int80_works() -> bool {
    // SAFETY: getpid takes no argument and touches no memory.
    let answer = unsafe { int80(20, 0, 0) };
    answer == i64::from(std::process::id())
}

/// Not this processor.
#[cfg(not(target_arch = "x86_64"))]
pub fn int80_works() -> bool {
    false
}

/// A 32-bit system call with two arguments.
///
/// # Safety
/// As the system call itself.
#[cfg(target_arch = "x86_64")]
pub unsafe fn int80(nr: i32, a: u64, b: u64) -> i64 {
    let answer: i64;
    // SAFETY: rbx is saved by hand since LLVM keeps it; the kernel changes rax and r8-r11 only.
    unsafe {
        std::arch::asm!(
            "push rbx", "mov rbx, {a}", "int 0x80", "pop rbx",
            a = in(reg) a,
            inlateout("rax") i64::from(nr) => answer,
            in("rcx") b,
            out("r8") _, out("r9") _, out("r10") _, out("r11") _,
        );
    }
    i64::from(answer as i32)
}
