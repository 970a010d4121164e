//! The program, its arguments and folder, the terminal, and noNewPrivileges.

use super::case::Case;
use super::strings::shorten;
use crate::bundle::DescriptorKind;
use crate::controls::ControlId;
use crate::paths::GuestPath;
use crate::policy::{ExecVerb, Loosened, NewPrivileges, Terminal};

/// Programs that make a container a machine (8.5.3), and those that let people log in (8.4.1).
const SUPERVISORS: [&str; 24] = [
    "init",
    "systemd",
    "runit",
    "runit-init",
    "runsvdir",
    "s6-svscan",
    "s6-overlay-suexec",
    "supervisord",
    "openrc",
    "openrc-init",
    "upstart",
    "busybox-init",
    "tini-init",
    "monit",
    "circusd",
    "daemontools",
    "svscan",
    "cron",
    "crond",
    "anacron",
    "atd",
    "inetd",
    "xinetd",
    "telinit",
];
const LOGINS: [&str; 12] = [
    "sshd",
    "dropbear",
    "telnetd",
    "in.telnetd",
    "utelnetd",
    "rlogind",
    "in.rlogind",
    "rshd",
    "in.rshd",
    "getty",
    "agetty",
    "ttyd",
];

/// Whether a program of this file name makes a machine of its container.
pub fn is_supervisor(name: &str) -> bool {
    SUPERVISORS.contains(&name)
}

/// Whether people log in by a program of this file name.
pub fn is_login(name: &str) -> bool {
    LOGINS.contains(&name)
}

/// argv and the working folder.
pub(super) fn program(case: &mut Case<'_>) {
    let Some(process) = case.spec().process() else {
        case.refuse(
            ControlId::S8_5_2,
            "/process",
            "no process",
            "say which program is to run",
        );
        return;
    };
    let args = process.args().clone().unwrap_or_default();
    match args.first().map(String::as_str) {
        None | Some("") => {
            case.refuse(
                ControlId::S8_5_2,
                "/process/args",
                "no program",
                "name the program as the first argument",
            );
        }
        Some(program) => {
            procfs_program(case, program);
            entry_point(case, program);
        }
    }
    let cwd = process.cwd().to_string_lossy();
    match GuestPath::parse(&cwd) {
        Ok(cwd) if in_procfs(&cwd) => {
            let found = format!("the folder {cwd}");
            case.refuse(
                ControlId::S8_4_7,
                "/process/cwd",
                found,
                "use a folder of the image: /proc leads out of it (CVE-2024-21626)",
            );
        }
        Ok(cwd) => case.grant.process.cwd = cwd,
        Err(error) => case.refuse(
            ControlId::S8_4_7,
            "/process/cwd",
            error,
            "give an absolute path inside the container",
        ),
    }
    case.grant.process.args = args;
}

fn in_procfs(path: &GuestPath) -> bool {
    let proc = GuestPath::root().join("proc");
    path.is_at_or_below(&proc)
}

/// A program by way of /proc is one of the launcher's, not of the image (CVE-2019-5736, CVE-2024-21626).
fn procfs_program(case: &mut Case<'_>, program: &str) {
    let climbs = program.split('/').any(|part| part == "..");
    let resolved = GuestPath::parse(program).is_ok_and(|path| in_procfs(&path));
    if resolved || (climbs && program.contains("proc")) {
        let found = format!("the program {:?}", shorten(program));
        case.refuse(
            ControlId::S8_4_7,
            "/process/args/0",
            found,
            "name a program of the image, not one below /proc",
        );
    }
}

fn entry_point(case: &mut Case<'_>, program: &str) {
    let name = program.rsplit('/').next().unwrap_or(program);
    let (control, what) = if LOGINS.contains(&name) {
        (ControlId::S8_4_1, "lets people log in")
    } else if SUPERVISORS.contains(&name) {
        (
            ControlId::S8_5_3,
            "makes the container a machine with many services",
        )
    } else {
        return;
    };
    if !case.waived("/process/args/0", format!("the program {name}"), |g| {
        g.entry_points.iter().any(|e| e == name)
    }) {
        let remedy = format!(
            "start the one service itself, or get an exception for {control} with entry_points = [{name:?}]"
        );
        case.refuse(
            control,
            "/process/args/0",
            format!("{name}, which {what}"),
            remedy,
        );
    }
}

/// A terminal only by exception; a size without a terminal asks for nothing.
pub(super) fn terminal(case: &mut Case<'_>) {
    let Some(process) = case.spec().process() else {
        return;
    };
    let size = process.console_size().unwrap_or_default();
    if !process.terminal().unwrap_or(false) {
        if size.height() != 0 || size.width() != 0 {
            case.cut(
                ControlId::S8_4_1,
                "/process/consoleSize",
                "a console size",
                "nothing: there is no terminal",
            );
        }
        return;
    }
    let joins = case.bundle.extras.joins;
    let granted =
        |g: &Loosened| g.terminal || joins && g.exec.is_some_and(|verb| verb == ExecVerb::Terminal);
    if !case.waived("/process/terminal", "a terminal", granted) {
        case.refuse(
            ControlId::S8_4_1,
            "/process/terminal",
            "a terminal",
            "run without one (no -t), or get an exception for SS-011/8.4.1 with terminal = true",
        );
    }
    let (Ok(rows), Ok(columns)) = (u16::try_from(size.height()), u16::try_from(size.width()))
    else {
        let found = format!("{} rows and {} columns", size.height(), size.width());
        case.refuse(
            ControlId::S8_4_1,
            "/process/consoleSize",
            found,
            "a terminal has at most 65535 of each",
        );
        return;
    };
    case.grant.process.terminal = Some(Terminal { rows, columns });
}

/// The verb `exec`, for later: by exception only.
pub(super) fn exec_verb(case: &mut Case<'_>) {
    let best = case.in_force().filter_map(|e| e.grant.exec).max();
    if let Some(verb) = best {
        let what = match verb {
            ExecVerb::NoTerminal => "the verb exec, without a terminal",
            ExecVerb::Terminal => "the verb exec, with a terminal",
        };
        case.waived("", what, |g| g.exec == Some(verb));
    }
    case.grant.exec_verb = match case.compat() {
        true => Some(ExecVerb::Terminal),
        false => best,
    };
}

/// noNewPrivileges is always on, also when the request says false; under compat an engine gets what it asks.
pub(super) fn privileges(case: &mut Case<'_>) {
    let asked = case
        .spec()
        .process()
        .as_ref()
        .and_then(|p| p.no_new_privileges());
    if case.compat() && !case.standalone() {
        if asked != Some(true) {
            case.grant.process.new_privileges = NewPrivileges::Possible;
        }
        return;
    }
    if asked == Some(false) {
        case.cut(
            ControlId::S8_3_7,
            "/process/noNewPrivileges",
            "false",
            "true",
        );
    }
}

/// Descriptors of the caller's: only under compat, and a folder never.
pub(super) fn descriptors(case: &mut Case<'_>) {
    let asked = case.bundle.extras.descriptors.clone();
    let (activated, preserved) = asked.split_at(case.bundle.extras.listen_fds.min(asked.len()));
    for (number, kind) in &asked {
        if *kind == DescriptorKind::Dir {
            case.refuse(
                ControlId::S8_1_3,
                "--preserve-fds",
                format!("descriptor {number}, a folder of the host"),
                "a folder leads out of the container: close it",
            );
        }
    }
    if case.compat() {
        case.grant.process.descriptors = asked.iter().map(|(number, _)| *number).collect();
        if !activated.is_empty() {
            let count = format!("LISTEN_FDS={}", activated.len());
            case.grant
                .process
                .env
                .extend([count, "LISTEN_PID=1".into()]);
        }
        return;
    }
    if !activated.is_empty() {
        case.cut(
            ControlId::S8_1_3,
            "LISTEN_FDS",
            format!("{} sockets of the caller's", activated.len()),
            "none",
        );
    }
    if !preserved.is_empty() {
        case.refuse(
            ControlId::S8_1_3,
            "--preserve-fds",
            format!("{} descriptors of the host", preserved.len()),
            "no descriptor of the host may enter the container: only the template compat hands any on; leave the option out",
        );
    }
}
