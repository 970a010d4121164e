//! Docker: dockerd with containerd and its shim, the runtime in daemon.json as the default one.
//!
//! Two releases: the one that Debian's stable has, and the newest. What differs in how they call a runtime is in
//! containers.rs, which both are asked; the rest only the first.

mod containers;
mod daemons;

use crate::engines;
use crate::host::Host;
use crate::images::{BUSYBOX, busybox, import};
use crate::need;
use crate::release::{Release, boot};
use crate::support::*;

/// Tests, each on a host of its own with a release.
macro_rules! tests {
    ($module:ident, $release:ident: $($from:ident::$test:ident),+ $(,)?) => {
        mod $module {
            use super::*;
            $(
                #[test]
                fn $test() {
                    engines!("dockerd", "containerd", "ip", "iptables", "busybox");
                    let host = boot!(Release::$release);
                    start(&host);
                    take_image(&host);
                    super::$from::$test(&host);
                }
            )+
        }
    };
}

tests!(installed, Installed:
    containers::a_container_runs_and_its_output_and_exit_code_come_back,
    containers::a_container_is_looked_at_changed_stopped_and_removed,
    containers::rights_that_are_asked_for_are_cut_to_the_ceiling,
    containers::volumes_are_shown_and_written,
    containers::a_published_port_and_a_network_of_its_own_reach_the_service,
    containers::health_checks_run_by_exception_and_exec_is_refused_without_it,
    containers::exec_has_a_terminal_under_its_exception_alone,
    containers::what_is_kept_and_what_docker_logs_shows_agree,
    containers::the_whole_story_reaches_the_spool_and_a_collector,
    daemons::a_restart_policy_starts_it_again,
    daemons::daemons_come_back_to_their_containers,
    daemons::a_daemon_that_is_killed_while_it_starts_containers_loses_none,
    daemons::fifty_containers_at_once_come_and_go,
);

tests!(newest, Newest:
    containers::a_container_runs_and_its_output_and_exit_code_come_back,
    containers::a_container_is_looked_at_changed_stopped_and_removed,
    containers::rights_that_are_asked_for_are_cut_to_the_ceiling,
    containers::a_published_port_and_a_network_of_its_own_reach_the_service,
    containers::health_checks_run_by_exception_and_exec_is_refused_without_it,
    containers::exec_has_a_terminal_under_its_exception_alone,
    containers::features_are_shown_to_its_user,
    daemons::daemons_come_back_to_their_containers,
);

/// Gives Docker the image.
pub fn take_image(host: &Host) {
    let changes = ["CMD [\"/bin/sh\"]", "ENV PATH=/bin"];
    import(host, BUSYBOX, &busybox(host), &changes);
}

/// Starts both daemons.
pub fn start(host: &Host) {
    start_with(host, "{\"live-restore\": true}");
}

/// The same, with what a site has in daemon.json before cofferdam comes.
pub fn start_with(host: &Host, config: &str) {
    host.write("/etc/docker/daemon.json", config);
    let runtime = host.runtime();
    host.call(&[&runtime, "install", "--engine", "docker", "--default"])
        .ok();
    host.daemon("containerd", "containerd");
    host.until("containerd answers", |h| h.line("ctr version").ended());
    start_dockerd(host);
}

/// From now on, exceptions beside the policy for every launch: control and grant.
pub fn except(host: &Host, exceptions: &[(&str, &str)]) {
    let entries = exceptions
        .iter()
        .map(|(control, grant)| exception(&unique("x"), control, grant));
    let entries: String = entries.collect();
    host.write(
        "/etc/cofferdam/exceptions.d/test.toml",
        &format!("version = 1\n{entries}"),
    );
}

fn start_dockerd(host: &Host) {
    host.daemon(
        "dockerd",
        "dockerd --containerd /run/containerd/containerd.sock",
    );
    host.until("dockerd answers", |h| h.line("docker version").ended());
}

/// `docker run FLAGS IMAGE ARGS`.
fn run(host: &Host, flags: &str, args: &[&str]) -> Ran {
    let mut words = vec!["docker", "run"];
    words.extend(flags.split_whitespace());
    words.push(BUSYBOX);
    words.extend(args);
    host.call(&words)
}

/// One field of `docker inspect`.
fn inspect(host: &Host, name: &str, field: &str) -> String {
    let format = format!("{{{{{field}}}}}");
    host.call(&["docker", "inspect", name, "--format", &format])
        .out
        .trim()
        .into()
}

#[track_caller]
fn until_it_is(host: &Host, name: &str, field: &str, wanted: &str) {
    host.until(&format!("{name} is {wanted}"), |h| {
        (inspect(h, name, field) == wanted).then_some(())
    });
}
