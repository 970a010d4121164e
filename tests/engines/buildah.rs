//! buildah with --isolation oci: it creates, starts, asks for the state and deletes by itself.

use crate::engines;
use crate::host::Host;
use crate::images::busybox;
use crate::need;
use crate::podman::configure;
use crate::scope::assert_told_apart;
use crate::support::*;

/// `buildah bud` of these lines on a busybox root.
fn build(host: &Host, name: &str, lines: &str) -> Ran {
    busybox(host);
    let file = host.shared("Containerfile");
    std::fs::write(
        &file,
        format!("FROM scratch\nADD busybox.tar /\nENV PATH=/bin\n{lines}\n"),
    )
    .unwrap();
    let runtime = host.runtime();
    host.call(&[
        "buildah",
        "bud",
        "--isolation",
        "oci",
        "--runtime",
        &runtime,
        "--network",
        "none",
        "-t",
        name,
        "-f",
        text(&file),
        text(file.parent().unwrap()),
    ])
}

#[test]
fn a_step_runs_and_what_it_may_not_do_ends_the_build() {
    engines!("buildah", "ip", "busybox");
    let host = Host::boot();
    configure(&host);
    build(&host, "localhost/a:1", "RUN [\"echo\", \"from the step\"]").said(0, &["from the step"]);
    build(&host, "localhost/b:1", "RUN [\"touch\", \"/x\"]").said(1, &["Read-only file system"]);
    assert_told_apart(&host, "buildah", || {
        build(&host, "localhost/c:1", "RUN [\"touch\", \"/x\"]")
    });
    host.assert_clean();
}

#[test]
fn a_command_runs_in_a_working_container() {
    engines!("buildah", "ip", "busybox");
    let host = Host::boot();
    configure(&host);
    build(&host, "localhost/a:1", "").said(0, &[]);
    host.line("buildah from --name work localhost/a:1").ok();
    let runtime = host.runtime();
    let run = |args: &[&str]| {
        let mut words = vec![
            "buildah",
            "run",
            "--isolation",
            "oci",
            "--runtime",
            &runtime,
        ];
        words.extend(["--network", "none", "work", "--"]);
        words.extend(args);
        host.call(&words)
    };
    run(&["echo", "from the command"]).said(0, &["from the command"]);
    run(&["touch", "/x"]).said(1, &["Read-only file system"]);
    run(&["nothing"]).said(1, &["executable file not found in $PATH"]);
    host.line("buildah rm work").ok();
    host.assert_clean();
}
