//! redis-server in memory, over its own wire protocol.

use crate::roots::packages;
use crate::service::{Launch, Service};
use crate::support::*;
use nix::sys::signal::Signal;
use std::io::Write;

/// One conversation: commands as lines, all answers, once the data is loaded.
fn talk(service: &mut Service, commands: &[&str]) -> String {
    let text = commands.join("\r\n") + "\r\nQUIT\r\n";
    service.until("its data is loaded", |s| {
        let mut stream = s.try_connect(6379).ok()?;
        stream.write_all(text.as_bytes()).ok()?;
        let answer = std::io::read_to_string(stream).ok()?;
        (!answer.starts_with("-LOADING")).then_some(answer)
    })
}

#[test]
fn sets_gets_and_ends_in_good_order() {
    need!(Root, Landlock);
    let root = packages!("redis", "redis-server");
    let launch = Launch::of("redis", root)
        .flag("--expose", "6379")
        .flag("--nofile", "4096");
    let program = ["/usr/bin/redis-server", "--save", "", "--bind", "127.0.0.1"];
    let mut service = launch.start(&program);
    let answer = talk(
        &mut service,
        &["SET coffer dam", "GET coffer", "EVAL 'return 6*7' 0"],
    );
    assert_eq!(answer, "+OK\r\n$3\r\ndam\r\n:42\r\n+OK\r\n");
    // A snapshot needs a fork and a place to write.
    let answer = talk(&mut service, &["BGSAVE", "SAVE"]);
    assert!(
        answer.starts_with("-ERR") && !answer.contains("Background saving started"),
        "{answer}"
    );
    let limit = talk(&mut service, &["CONFIG GET maxclients"]);
    // 4096 descriptors less the 32 that redis keeps for itself.
    assert!(limit.contains("\r\n4064\r\n"), "{limit}");
    service.assert_contained(6379, 1..=1);
    let (code, printed) = service.stop(Signal::SIGTERM);
    assert_eq!(code, 0, "{printed}");
    assert!(printed.contains("Redis is now ready to exit"), "{printed}");
}

/// Its data in a volume: written as the container's user, found by the next start, the host's owner unchanged.
#[test]
fn keeps_its_data_in_a_volume() {
    need!(Root, Landlock);
    use std::os::unix::fs::MetadataExt;
    let root = packages!("redis", "redis-server");
    let store = Rig::new();
    let data = store.path("data");
    std::fs::create_dir(&data).unwrap();
    std::os::unix::fs::chown(&data, Some(65532), Some(65532)).unwrap();
    let volume = format!("{}:/data:rw", text(&data));
    let program = [
        "/usr/bin/redis-server",
        "--save",
        "",
        "--bind",
        "127.0.0.1",
        "--dir",
        "/data",
        "--appendonly",
        "yes",
    ];
    let launch = || {
        Launch::of("redis-data", &root)
            .flag("--expose", "6379")
            .flag("--volume", &volume)
    };
    let mut service = launch().start(&program);
    assert_eq!(talk(&mut service, &["SET kept yes"]), "+OK\r\n+OK\r\n");
    assert_eq!(service.stop(Signal::SIGTERM).0, 0);
    let written = std::fs::metadata(data.join("appendonlydir")).unwrap();
    assert_eq!((written.uid(), written.gid()), (65532, 65532));
    let mut service = launch().start(&program);
    assert_eq!(talk(&mut service, &["GET kept"]), "$3\r\nyes\r\n+OK\r\n");
    service.assert_contained(6379, 1..=1);
    assert_eq!(service.stop(Signal::SIGTERM).0, 0);
}
