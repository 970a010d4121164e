//! Node with worker threads: V8 writes code while it runs, which is the one thing its exception allows.

use crate::roots::packages;
use crate::service::Launch;
use nix::sys::signal::Signal;

pub const SERVER: &str = r#"
const { Worker } = require('worker_threads');
const http = require('http'), fs = require('fs'), child = require('child_process');
const source = `const { parentPort: p, threadId } = require('worker_threads');
    p.on('message', n => { let s = 0; for (let i = 1; i <= n; i++) s += i; p.postMessage([threadId, s]) })`;
const workers = [0, 1].map(() => new Worker(source, { eval: true }));
const attempt = deed => { try { deed(); return 'DONE' } catch (e) { return e.code } };
const attacks = () => ({
    exec: attempt(() => child.execFileSync(process.execPath, ['-v'])),
    write: attempt(() => fs.writeFileSync('/usr/x', '')),
    device: attempt(() => fs.writeFileSync('/dev/x', '')),
    root: attempt(() => process.setuid(0)),
});
let turn = 0;
http.createServer((request, response) => {
    if (request.url === '/attacks') return response.end(JSON.stringify(attacks()));
    const worker = workers[turn++ % 2];
    worker.once('message', ([id, sum]) => response.end(`thread ${id} says ${sum}\n`));
    worker.postMessage(100000);
}).listen(8080, '127.0.0.1');
"#;

pub const JIT: (&str, &str) = ("SS-011/8.4.8", "{ jit = true }");

#[test]
fn worker_threads_with_the_jit_exception() {
    need!(Root, Landlock);
    let root = packages!("node", "nodejs", "libnode108");
    let launch = |what| {
        Launch::of(what, &root)
            .file("/srv/server.js", SERVER)
            .flag("--expose", "8080")
    };
    let program = ["/usr/bin/node", "/srv/server.js"];
    let mut service = launch("node").excepted(JIT.0, JIT.1).start(&program);
    for thread in [1, 2] {
        let page = service.get(8080, "/");
        assert!(
            page.ends_with(&format!("thread {thread} says 5000050000\n")),
            "{page}"
        );
    }
    let attacks = service.get(8080, "/attacks");
    let expected = r#"{"exec":"EPERM","write":"EROFS","device":"EROFS","root":"EPERM"}"#;
    assert!(attacks.ends_with(expected), "{attacks}");
    service.assert_contained(8080, 1..=1);
    let record = service.record();
    let used = &record["exceptions"];
    assert_eq!(used.as_array().unwrap().len(), 1, "{record:#}");
    assert!(
        used[0]["grants"].as_str().unwrap().contains("jit"),
        "{record:#}"
    );
    // Node's own handler gives the signal back to the kernel, which keeps it from a first process.
    assert_eq!(service.stop(Signal::SIGTERM).0, 143);
    // Without the exception it ends by itself, when it first writes code.
    let without = launch("node-without").ended(&program);
    assert_eq!(without.code, 133, "{without:#?}");
}
