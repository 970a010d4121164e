//! The services inside: a line says what a connection is for.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream, UdpSocket};
use std::os::fd::{AsFd, AsRawFd, FromRawFd};
use std::os::unix::net::UnixListener;
use std::time::Duration;

/// Verbs of the payload.
pub fn verb(verb: &str, args: &[String]) -> Option<i32> {
    let arg = |n: usize| args.get(n).map_or("", String::as_str);
    match verb {
        "serve" => serve(TcpListener::bind(arg(0)).unwrap()),
        "resolver" => {
            const FILE: &str = "/etc/resolv.conf";
            print!("{}", std::fs::read_to_string(FILE).unwrap());
            let opened = std::fs::OpenOptions::new().write(true).open(FILE);
            let errno = opened.map_or_else(|e| e.raw_os_error().unwrap_or(0), |_| 0);
            println!("write {}", crate::support::payload::errno_name(errno));
            serve(TcpListener::bind(arg(0)).unwrap())
        }
        "serve-hex" => serve_hex(arg(0), arg(1).parse().unwrap_or(0)),
        "udp" => udp(arg(0)),
        "try-and-serve" => {
            crate::killed::try_refused();
            serve(TcpListener::bind(arg(0)).unwrap())
        }
        "bind-often" => Some(crate::killed::bind_often(arg(0))),
        "binds" => crate::inside::binds(),
        "trap" => crate::inside::trap(arg(0)),
        "reach" => crate::inside::reach(arg(0)),
        "listen-fds" => listen_fds(),
        "ask" => {
            println!("{}", talk(arg(0), arg(1)));
            Some(0)
        }
        "ask-often" => ask_often(arg(0)),
        _ => None,
    }
}

fn serve(listener: TcpListener) -> ! {
    println!("ready");
    loop {
        if let Ok((stream, _)) = listener.accept() {
            // More than it may have threads: that one is lost, the service is not.
            let _ = std::thread::Builder::new().spawn(move || answer(stream));
        }
    }
}

/// One connection: a word on its first line, then what the word says.
fn answer(stream: TcpStream) -> std::io::Result<()> {
    let mut from = BufReader::new(stream.try_clone()?);
    let mut to = stream;
    let mut first = String::new();
    loop {
        first.clear();
        from.read_line(&mut first)?;
        let (word, rest) = first
            .trim_end()
            .split_once(' ')
            .unwrap_or((first.trim_end(), ""));
        match word {
            "who" => writeln!(to, "{}", to.peer_addr()?)?,
            "echo" => {
                std::io::copy(&mut from, &mut to)?;
                return Ok(());
            }
            // Only when the client has ended sending is there an answer: half-close.
            "sum" => {
                let mut all = Vec::new();
                from.read_to_end(&mut all)?;
                let sum: u64 = all.iter().map(|b| u64::from(*b)).sum();
                return writeln!(to, "{} {sum}", all.len());
            }
            "flood" => {
                let count: usize = rest.parse().unwrap_or(0);
                let block: Vec<u8> = (0..65_536u32).map(|n| (n % 251) as u8).collect();
                for _ in 0..count / block.len() {
                    to.write_all(&block)?;
                }
                return to.shutdown(Shutdown::Write);
            }
            "reset" | "answer-and-reset" => {
                if word != "reset" {
                    write!(to, "{}", "x".repeat(rest.parse().unwrap_or(0)))?;
                }
                cofferdam::sys::net::reset_on_close(to.as_fd())?;
                return Ok(());
            }
            // Says whether the client broke off or ended in good order.
            "ending" => {
                writeln!(to, "now")?;
                let end = from.read(&mut [0; 16]);
                println!(
                    "ending {}",
                    end.map_or_else(|e| format!("{:?}", e.kind()), |n| n.to_string())
                );
                return Ok(());
            }
            "hang" => std::thread::sleep(Duration::from_secs(3600)),
            "" => return Ok(()),
            _ => writeln!(to, "unknown {:?}", first.trim_end())?,
        }
    }
}

/// Says in hex what the first bytes of each connection were.
fn serve_hex(at: &str, count: usize) -> ! {
    let listener = TcpListener::bind(at).unwrap();
    println!("ready");
    loop {
        if let Ok((mut stream, _)) = listener.accept() {
            let mut bytes = vec![0; count];
            let _ = stream.read_exact(&mut bytes);
            let hex: Vec<String> = bytes.iter().map(|b| format!("{b:02x}")).collect();
            let _ = writeln!(stream, "{}", hex.concat());
        }
    }
}

fn udp(at: &str) -> ! {
    let socket = UdpSocket::bind(at).unwrap();
    println!("ready");
    let mut buffer = vec![0; 65_536];
    loop {
        if let Ok((n, from)) = socket.recv_from(&mut buffer) {
            let _ = socket.send_to(&buffer[..n], from);
        }
    }
}

/// What sd_listen_fds(3) would find, and a service on it.
fn listen_fds() -> ! {
    let var = |name: &str| std::env::var(name).unwrap_or_default();
    println!(
        "{} {} {}",
        var("LISTEN_FDS"),
        var("LISTEN_PID"),
        var("LISTEN_FDNAMES")
    );
    println!("pid {}", std::process::id());
    let count: i32 = var("LISTEN_FDS").parse().unwrap_or(0);
    let mut threads = Vec::new();
    for fd in 3..3 + count {
        // SAFETY: the launcher has put a listening socket there for us.
        let socket = unsafe { std::os::fd::OwnedFd::from_raw_fd(fd) };
        let domain = cofferdam::sys::net::option(socket.as_fd(), libc::SOL_SOCKET, libc::SO_DOMAIN);
        println!("fd {} domain {}", socket.as_raw_fd(), domain.unwrap());
        threads.push(std::thread::spawn(move || match domain {
            Ok(libc::AF_UNIX) => loop {
                let listener = UnixListener::from(socket.try_clone().unwrap());
                if let Ok((mut stream, _)) = listener.accept() {
                    let _ = stream.write_all(b"hello over unix\n");
                }
            },
            _ => {
                let listener = TcpListener::from(socket);
                loop {
                    if let Ok((stream, _)) = listener.accept() {
                        std::thread::spawn(move || answer(stream));
                    }
                }
            }
        }));
    }
    println!("ready");
    for thread in threads {
        let _: Result<(), _> = thread.join();
    }
    std::process::exit(0)
}

/// What came back, or the error's name.
pub fn talk(at: &str, text: &str) -> String {
    let all = || -> std::io::Result<String> {
        let mut stream = TcpStream::connect(at)?;
        stream.write_all(text.as_bytes())?;
        stream.write_all(b"\n")?;
        stream.shutdown(Shutdown::Write)?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer.trim_end().to_string())
    };
    all().unwrap_or_else(|e| crate::support::payload::errno_name(e.raw_os_error().unwrap_or(0)))
}

/// Asks again at each line of its input; says what came back.
fn ask_often(at: &str) -> ! {
    println!("ready");
    for line in std::io::stdin().lines().map_while(Result::ok) {
        println!("got {}", talk(at, &line));
    }
    std::process::exit(0)
}
