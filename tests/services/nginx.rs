//! nginx as one process: no master, no daemon, its own configuration from a volume.

use crate::roots::packages;
use crate::service::Launch;
use nix::sys::signal::Signal;

pub const CONFIG: &str = "
master_process off; daemon off; pid /tmp/nginx.pid; error_log stderr notice;
events { worker_connections 512; }
http {
    access_log off;
    client_body_temp_path /tmp/body; proxy_temp_path /tmp/proxy; fastcgi_temp_path /tmp/fastcgi;
    uwsgi_temp_path /tmp/uwsgi; scgi_temp_path /tmp/scgi;
    server {
        listen 8080;
        location = /hello { return 200 'hello from nginx\\n'; }
        location / { root /usr/share; sendfile on; }
    }
}
";

#[test]
fn serves_files_and_ends_in_good_order() {
    need!(Root, Landlock);
    let root = packages!("nginx", "nginx-light");
    let launch = Launch::of("nginx", root).file("/etc/nginx/nginx.conf", CONFIG);
    let launch = launch.flag("--expose", "8080").flag("--tmpfs", "/tmp:16m");
    let mut service = launch.start(&["/usr/sbin/nginx"]);
    assert!(service.get(8080, "/hello").ends_with("hello from nginx\n"));
    let file = service.get(8080, "/doc/nginx-light/copyright");
    assert!(file.contains("Igor Sysoev"), "{file}");
    assert!(
        service
            .get(8080, "/../../etc/passwd")
            .contains("400 Bad Request")
    );
    service.assert_contained(8080, 1..=1);
    let (code, printed) = service.stop(Signal::SIGTERM);
    assert_eq!(code, 0, "{printed}");
    assert!(
        printed.contains("signal 15 (SIGTERM) received, exiting"),
        "{printed}"
    );
}

/// As Debian configures it, with a master and workers: it forks, and says so.
#[test]
fn with_workers_it_needs_another_template() {
    need!(Root, Landlock);
    let root = packages!("nginx", "nginx-light");
    let config = CONFIG.replace("master_process off", "worker_processes 2");
    let flags = |what| {
        let launch = Launch::of(what, &root).file("/etc/nginx/nginx.conf", &config);
        launch.flag("--expose", "8080").flag("--tmpfs", "/tmp:16m")
    };
    let mut service = flags("nginx-workers")
        .excepted("SS-011/8.5.2", "{ template = \"workers\" }")
        .flag("--profile", "workers")
        .start(&["/usr/sbin/nginx"]);
    assert!(service.get(8080, "/hello").ends_with("hello from nginx\n"));
    service.assert_contained(8080, 3..=3);
    let (code, printed) = service.stop(Signal::SIGTERM);
    assert_eq!(code, 0, "{printed}");
    let refused = flags("nginx-refused")
        .flag("--profile", "workers")
        .ended(&["/usr/sbin/nginx"]);
    refused.refused(125, &["8.5.2", "workers", "exception"]);
}
