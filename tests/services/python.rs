//! Python: threads, and whatever an attacker who runs code in the service would try.

use crate::roots::packages;
use crate::service::Launch;
use crate::support::*;
use nix::sys::signal::Signal;
use std::path::Path;

/// The README's own next step: a program of this machine, on this machine's root.
#[test]
fn http_server_on_the_hosts_root() {
    need!(Root, Landlock);
    if !Path::new("/usr/bin/python3").exists() {
        let why = "no /usr/bin/python3; apt-get install -y python3";
        return skip("python::http_server_on_the_hosts_root", "python3", why);
    }
    let launch = Launch::of("python", "/").flag("--expose", "8000");
    let program = ["/usr/bin/python3", "-m", "http.server", "8000"];
    let mut service = launch.start(&program);
    let page = service.get(8000, "/usr/");
    assert!(page.contains("200 OK") && page.contains("share/"), "{page}");
    // The host's secrets are not in it.
    for secret in ["/etc/shadow", "/root/", "/home/"] {
        let page = service.get(8000, secret);
        assert!(
            !page.contains("root:") && !page.contains("<li>"),
            "{secret}: {page}"
        );
    }
    service.assert_contained(8000, 1..=1);
    // Python has no handler for TERM, which the kernel keeps from a first process: the launcher ends it.
    assert_eq!(service.stop(Signal::SIGTERM).0, 143);
}

const ATTACKED: &str = r#"
import ctypes, errno, http.server, mmap, os, socket, subprocess, threading, _thread

def attempt(deed):
    try:
        deed()
        return 'DONE'
    except OSError as e:
        return errno.errorcode.get(e.errno, str(e.errno))
    except Exception as e:
        return type(e).__name__

def drop_and_run():
    with open('/tmp/x', 'wb') as f: f.write(open('/usr/bin/python3', 'rb').read())
    os.chmod('/tmp/x', 0o755)
    os.execv('/tmp/x', ['x'])

def memfd():
    fd = os.memfd_create('x')
    os.write(fd, open('/usr/bin/python3', 'rb').read())
    os.execve(fd, ['x'], {})

def overwrite(path):
    with open(path, 'r+b') as f: f.write(b'x')

def connect(address):
    with socket.socket() as s:
        s.settimeout(5)
        s.connect(address)

def bind(port):
    with socket.socket() as s: s.bind(('127.0.0.1', port))

libc = ctypes.CDLL(None, use_errno=True)
def call(name, *args):
    if getattr(libc, name)(*args) == -1: raise OSError(ctypes.get_errno(), name)

ATTACKS = {
    'exec': lambda: os.execv('/usr/bin/python3', ['python3', '-c', '']),
    'spawn': lambda: subprocess.run(['/usr/bin/python3', '-c', '']),
    'posix_spawn': lambda: os.posix_spawn('/usr/bin/python3', ['python3', '-c', ''], {}),
    'fork': os.fork,
    'drop': drop_and_run,
    'memfd': memfd,
    'rwx': lambda: mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC),
    'root file': lambda: open('/usr/x', 'w'),
    'overwrite': lambda: overwrite(os.__file__),
    'dev file': lambda: open('/dev/x', 'w'),
    'own memory': lambda: overwrite('/proc/self/mem'),
    'setuid bit': lambda: (open('/tmp/s', 'w'), os.chmod('/tmp/s', 0o4755)),
    'become root': lambda: os.setuid(0),
    'raw socket': lambda: socket.socket(socket.AF_INET, socket.SOCK_RAW, 1),
    'packet socket': lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW),
    'netlink': lambda: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 6),
    'alg': lambda: socket.socket(38, socket.SOCK_SEQPACKET),
    'vsock': lambda: socket.socket(40, socket.SOCK_STREAM),
    'undeclared port': lambda: bind(8001),
    'out': lambda: connect(('192.0.2.1', 80)),
    'unshare': lambda: call('unshare', 0x10000000),
    'mount': lambda: call('mount', b'none', b'/tmp', b'tmpfs', 0, None),
    'ptrace': lambda: call('ptrace', 0, 0, 0, 0),
    # Python's own name for EPERM here.
    'raise descriptors': lambda: __import__('resource').setrlimit(7, (4096, 4096)),
}

class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        if self.path == '/attacks':
            body = ''.join(f'{name}: {attempt(deed)}\n' for name, deed in ATTACKS.items())
        else:
            body = f'served by thread {threading.current_thread().name} of process {os.getpid()}\n'
        self.send_response(200)
        self.end_headers()
        self.wfile.write(body.encode())

http.server.ThreadingHTTPServer(('127.0.0.1', 8000), Handler).serve_forever()
"#;

#[test]
fn attacked_from_inside() {
    need!(Root, Landlock);
    let root = packages!("python", "python3");
    let launch = Launch::of("attacked", root).file("/srv/service.py", ATTACKED);
    let launch = launch.flag("--expose", "8000").flag("--tmpfs", "/tmp:32m");
    let mut service = launch.start(&["/usr/bin/python3", "-u", "/srv/service.py"]);
    let page = service.get(8000, "/");
    assert!(
        page.contains("Thread-1") && page.contains("of process 1\n"),
        "{page}"
    );
    let answers = service.get(8000, "/attacks");
    let expected = [
        ("exec", "EPERM"),
        ("spawn", "EPERM"),
        ("posix_spawn", "EPERM"),
        ("fork", "EPERM"),
        ("drop", "EPERM"),
        ("memfd", "EPERM"),
        ("rwx", "EACCES"),
        ("root file", "EROFS"),
        ("overwrite", "EROFS"),
        ("dev file", "EROFS"),
        ("own memory", "EACCES"),
        ("setuid bit", "EPERM"),
        ("become root", "EPERM"),
        ("raw socket", "EPERM"),
        ("packet socket", "EPERM"),
        ("netlink", "EAFNOSUPPORT"),
        ("alg", "EPERM"),
        ("vsock", "EPERM"),
        ("undeclared port", "EACCES"),
        ("out", "EACCES"),
        ("unshare", "EPERM"),
        ("mount", "EPERM"),
        ("ptrace", "EPERM"),
        ("raise descriptors", "ValueError"),
    ];
    let (_, body) = answers.split_once("\r\n\r\n").unwrap();
    let found: Vec<(&str, &str)> = body.lines().filter_map(|l| l.split_once(": ")).collect();
    assert_eq!(found, expected);
    service.assert_contained(8000, 1..=1);
    assert_eq!(service.stop(Signal::SIGTERM).0, 143);
}
