//! The receivers: rsyslog and syslog-ng, started in the foreground and ended by pid.

use crate::lab::{self, Lab, listens, until};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

/// A process that ends with its test.
pub struct Running {
    child: Child,
}

impl Running {
    pub fn spawn(command: &mut Command, log: &std::path::Path) -> Self {
        let log = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(log)
            .unwrap();
        let child = command
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        Self { child }
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What it gets and goes on after: while it stands still its kernel takes what comes.
    pub fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.child.id() as i32), signal).unwrap();
    }

    /// Ends it with this signal and waits.
    pub fn end(mut self, signal: Signal) {
        kill(Pid::from_raw(self.child.id() as i32), signal).unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// rsyslog with every kind of input, each into a file of its own. What it acknowledges is in the file: its queue is none.
pub struct Rsyslog {
    config: PathBuf,
    dir: PathBuf,
}

impl Rsyslog {
    pub fn new(lab: &Lab) -> Self {
        Self::with_certificate(lab, "collector.test")
    }

    pub fn with_certificate(lab: &Lab, name: &str) -> Self {
        let dir = lab.path("rsyslog");
        std::fs::create_dir_all(&dir).unwrap();
        let out = |kind: &str| dir.join(kind).display().to_string();
        let pem = |file: &str| lab.pki.path(file).display().to_string();
        let (ca, cert, key) = (
            pem("ca.pem"),
            pem(&format!("{name}.pem")),
            pem(&format!("{name}.key")),
        );
        let mut text = format!(
            r#"global(workDirectory="{work}" maxMessageSize="64k" parser.escapeControlCharactersOnReceive="off"
  defaultNetstreamDriver="ossl" defaultNetstreamDriverCAFile="{ca}" defaultNetstreamDriverCertFile="{cert}"
  defaultNetstreamDriverKeyFile="{key}")
main_queue(queue.type="Direct")
module(load="imtcp" StreamDriver.Name="ossl" StreamDriver.Mode="1" StreamDriver.AuthMode="x509/name" PermittedPeer=["launcher.test"])
module(load="imptcp") module(load="imrelp") module(load="imudp")
template(name="raw" type="string" string="%rawmsg%\n")
"#,
            work = dir.display()
        );
        for kind in ["tls", "tcp", "udp", "relp", "relptls"] {
            text += &format!(
                "ruleset(name=\"{kind}\") {{ action(type=\"omfile\" file=\"{}\" template=\"raw\") }}\n",
                out(&format!("{kind}.log"))
            );
        }
        text += &format!(
            r#"input(type="imtcp" port="{}" address="127.0.0.1" ruleset="tls")
input(type="imptcp" port="{}" address="127.0.0.1" ruleset="tcp")
input(type="imudp" port="{}" address="127.0.0.1" ruleset="udp")
input(type="imrelp" port="{}" address="127.0.0.1" ruleset="relp" maxDataSize="64k")
input(type="imrelp" port="{}" address="127.0.0.1" ruleset="relptls" maxDataSize="64k" tls="on" tls.authMode="name"
  tls.permittedPeer=["launcher.test"] tls.caCert="{ca}" tls.myCert="{cert}" tls.myPrivKey="{key}")
"#,
            lab::TLS,
            lab::TCP,
            lab::UDP,
            lab::RELP,
            lab::RELP_TLS
        );
        let config = dir.join("rsyslog.conf");
        std::fs::write(&config, text).unwrap();
        Self { config, dir }
    }

    /// Starts it and waits until it listens everywhere.
    pub fn start(&self) -> Running {
        let mut command = Command::new("rsyslogd");
        command
            .arg("-n")
            .arg("-f")
            .arg(&self.config)
            .arg("-i")
            .arg(self.dir.join("pid"));
        let running = Running::spawn(&mut command, &self.dir.join("own.log"));
        until("rsyslog's ports", || {
            [lab::TLS, lab::TCP, lab::RELP, lab::RELP_TLS]
                .iter()
                .all(|p| listens(*p, false))
                && listens(lab::UDP, true)
        });
        running
    }

    /// What arrived over one kind of input.
    pub fn file(&self, kind: &str) -> PathBuf {
        self.dir.join(format!("{kind}.log"))
    }

    /// What it says about itself.
    pub fn says(&self) -> String {
        std::fs::read_to_string(self.dir.join("own.log")).unwrap_or_default()
    }
}

/// Where `.ci/run` puts what can't be installed beside the rest.
pub fn tools() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("target/ci-tools")
}

/// syslog-ng, unpacked beside, as it can't be installed with rsyslog.
pub struct SyslogNg {
    dir: PathBuf,
}

impl SyslogNg {
    pub fn missing() -> Option<String> {
        let program = tools().join("syslog-ng/usr/sbin/syslog-ng");
        (!program.exists()).then(|| format!("no {}; .ci/run unpacks it", program.display()))
    }

    pub fn new(lab: &Lab) -> Self {
        let dir = lab.path("syslog-ng");
        std::fs::create_dir_all(&dir).unwrap();
        let pem = |file: &str| lab.pki.path(file).display().to_string();
        let text = format!(
            r#"@version: 3.38
options {{ stats-freq(0); log-msg-size(65536); }};
source s {{ syslog(transport("tls") ip("127.0.0.1") port({port}) tls(ca-file("{ca}") cert-file("{cert}") key-file("{key}")
  peer-verify(required-trusted) trusted-dn("CN=launcher.test"))); }};
destination d {{ file("{out}" template("x seq=\"${{.SDATA.ctr@32473.seq}}\"] $MSG\n") flush-lines(1)); }};
log {{ source(s); destination(d); }};
"#,
            port = lab::TLS,
            ca = pem("ca.pem"),
            cert = pem("collector.test.pem"),
            key = pem("collector.test.key"),
            out = dir.join("out.log").display()
        );
        std::fs::write(dir.join("recv.conf"), text).unwrap();
        Self { dir }
    }

    pub fn start(&self) -> Running {
        let root = tools().join("syslog-ng");
        let modules = root.join("usr/lib/syslog-ng/3.38");
        let path = |p: &str| root.join(p).display().to_string();
        let libraries = [
            path("usr/lib/x86_64-linux-gnu"),
            path("lib/x86_64-linux-gnu"),
            path("usr/lib/syslog-ng"),
            path("usr/lib/syslog-ng/3.38"),
        ];
        let mut command = Command::new(root.join("usr/sbin/syslog-ng"));
        command
            .env("LD_LIBRARY_PATH", libraries.join(":"))
            .current_dir(&self.dir)
            .args([
                "-F",
                "--no-caps",
                "-f",
                "recv.conf",
                "-R",
                "persist",
                "-c",
                "ctl",
                "-p",
                "pid",
                "--stderr",
            ])
            .arg(format!("--module-path={}", modules.display()));
        let running = Running::spawn(&mut command, &self.dir.join("own.log"));
        until("syslog-ng's port", || listens(lab::TLS, false));
        running
    }

    pub fn out(&self) -> PathBuf {
        self.dir.join("out.log")
    }
}
