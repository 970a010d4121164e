//! Shell entry points: the template `script` executes what its exception lists, and nothing else.

use crate::roots::packages;
use crate::service::Launch;
use crate::support::*;
use nix::sys::signal::Signal;

const ENTRY: &str = "#!/bin/sh
/bin/date +%Y >/tmp/index.html || exit 3
echo \"listed: $?\" >>/tmp/index.html
/usr/bin/id
echo \"not listed: $?\" >>/tmp/index.html
cat=/tmp/cat; /bin/busybox cp /bin/busybox $cat; $cat /etc/passwd
echo \"dropped: $?\" >>/tmp/index.html
exec /bin/busybox httpd -f -p 8080 -h /tmp
";

const LISTED: &str =
    r#"{ template = "script", programs = ["/bin/sh", "/bin/date", "/bin/busybox"] }"#;

#[test]
fn runs_a_listed_set_of_programs() {
    need!(Root, Landlock);
    let root = packages!("shell", "dash", "coreutils", "busybox-static");
    let source = Rig::new();
    let entry = source.path("entry.sh");
    std::fs::write(&entry, ENTRY).unwrap();
    std::fs::set_permissions(&entry, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let launch = |what| {
        let launch =
            Launch::of(what, &root).flag("--volume", &format!("{}:/srv/entry.sh", text(&entry)));
        launch.flag("--expose", "8080").flag("--tmpfs", "/tmp:8m")
    };
    let granted = launch("script").excepted("SS-011/8.4.3", LISTED);
    let mut service = granted
        .flag("--profile", "script")
        .start(&["/srv/entry.sh"]);
    let page = service.get(8080, "/");
    for line in ["listed: 0\n", "not listed: 126\n", "dropped: 126\n"] {
        assert!(page.contains(line), "{page}");
    }
    let year = cofferdam::clock::rfc3339(0, 0).len();
    assert!(year > 4 && page.contains("\r\n\r\n20"), "{page}");
    service.assert_contained(8080, 1..=2);
    assert_eq!(service.stop(Signal::SIGTERM).0, 143);
    // Under default the interpreter is the one program; it can't start another.
    let ended = launch("script-default").ended(&["/srv/entry.sh"]);
    assert_eq!(ended.code, 2, "{ended:#?}");
    assert!(ended.err.contains("Cannot fork"), "{ended:#?}");
}
