//! A throw-away certificate authority: a collector's and a launcher's certificate, and ones that must be refused.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

pub struct Pki {
    dir: PathBuf,
}

impl Pki {
    pub fn new(dir: &Path) -> Self {
        std::fs::create_dir_all(dir).unwrap();
        let pki = Self { dir: dir.into() };
        pki.authority("ca");
        pki.authority("rogue-ca");
        let server = "DNS:collector.test,IP:127.0.0.1";
        pki.issue("collector.test", "ca", server, "serverAuth", None);
        pki.issue(
            "launcher.test",
            "ca",
            "DNS:launcher.test",
            "clientAuth",
            None,
        );
        pki.issue("rogue.test", "rogue-ca", server, "serverAuth", None);
        pki.issue("other.test", "ca", "DNS:other.test", "serverAuth", None);
        pki.issue(
            "expired.test",
            "ca",
            server,
            "serverAuth",
            Some("20200101000000Z"),
        );
        pki.issue(
            "stranger.test",
            "rogue-ca",
            "DNS:launcher.test",
            "clientAuth",
            None,
        );
        pki
    }

    pub fn path(&self, file: &str) -> PathBuf {
        self.dir.join(file)
    }

    fn openssl(&self, args: &[&str]) {
        let out = Command::new("openssl")
            .args(args)
            .current_dir(&self.dir)
            .stdin(Stdio::null())
            .output()
            .expect("openssl");
        assert!(
            out.status.success(),
            "{}",
            String::from_utf8_lossy(&out.stderr)
        );
    }

    fn authority(&self, name: &str) {
        let (key, pem) = (format!("{name}.key"), format!("{name}.pem"));
        let subject = format!("/CN={name}");
        let curve = "ec_paramgen_curve:P-256";
        let basic = "basicConstraints=critical,CA:TRUE";
        self.openssl(&[
            "req", "-x509", "-newkey", "ec", "-pkeyopt", curve, "-nodes", "-keyout", &key, "-out",
            &pem, "-subj", &subject, "-days", "2", "-addext", basic,
        ]);
        // What `ca` needs to sign with dates of our choice.
        std::fs::write(self.path(&format!("{name}.index")), "").unwrap();
        std::fs::write(
            self.path(&format!("{name}.cnf")),
            format!(
                "[ca]\ndefault_ca=d\n[d]\ndatabase={name}.index\nnew_certs_dir=.\nrand_serial=yes\ndefault_md=sha256\n\
                 policy=p\nunique_subject=no\ncertificate={name}.pem\nprivate_key={name}.key\n[p]\ncommonName=supplied\n"
            ),
        )
        .unwrap();
    }

    fn issue(&self, name: &str, by: &str, names: &str, usage: &str, ended: Option<&str>) {
        let (key, csr, pem) = (
            format!("{name}.key"),
            format!("{name}.csr"),
            format!("{name}.pem"),
        );
        let extensions = format!("{name}.ext");
        let text = format!("subjectAltName={names}\nextendedKeyUsage={usage}\n");
        std::fs::write(self.path(&extensions), text).unwrap();
        let subject = format!("/CN={name}");
        self.openssl(&[
            "req",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-nodes",
            "-keyout",
            &key,
            "-out",
            &csr,
            "-subj",
            &subject,
        ]);
        let config = format!("{by}.cnf");
        let mut args = vec![
            "ca",
            "-batch",
            "-notext",
            "-config",
            &config,
            "-extfile",
            &extensions,
            "-in",
            &csr,
            "-out",
            &pem,
        ];
        match ended {
            Some(ended) => args.extend(["-startdate", "20190101000000Z", "-enddate", ended]),
            None => args.extend(["-days", "2"]),
        }
        self.openssl(&args);
    }
}
