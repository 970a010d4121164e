//! A Java server, compiled and run in the container: HotSpot writes code while it runs.

use crate::roots::packages;
use crate::service::Launch;
use nix::sys::signal::Signal;

const SERVER: &str = r#"
import com.sun.net.httpserver.*;
import java.io.*;
import java.net.*;
import java.nio.file.*;
import java.util.concurrent.*;

public class Server {
    interface Deed { void run() throws Exception; }
    static String attempt(Deed deed) {
        try { deed.run(); return "DONE"; } catch (Exception e) { return e.getMessage(); }
    }
    public static void main(String[] words) throws Exception {
        HttpServer server = HttpServer.create(new InetSocketAddress("127.0.0.1", 8080), 0);
        server.createContext("/", x -> answer(x, "hello from " + Thread.currentThread().getName() + "\n"));
        server.createContext("/attacks", x -> answer(x,
            "exec: " + attempt(() -> new ProcessBuilder("/usr/bin/java").start()) + "\n"
            + "write: " + attempt(() -> new FileOutputStream("/usr/x")) + "\n"));
        server.setExecutor(Executors.newFixedThreadPool(4));
        server.start();
    }
    static void answer(HttpExchange x, String text) throws IOException {
        byte[] body = text.getBytes();
        x.sendResponseHeaders(200, body.length);
        x.getResponseBody().write(body);
        x.close();
    }
}
"#;

#[test]
fn http_server_with_the_jit_exception() {
    need!(Root, Landlock);
    let root = packages!("java", "openjdk-17-jdk-headless");
    let machines = std::fs::read_dir(root.join("usr/lib/jvm"))
        .unwrap()
        .flatten();
    let machine = machines
        .map(|e| e.file_name().into_string().unwrap())
        .find(|name| name.starts_with("java-17-openjdk-"))
        .unwrap();
    let java = format!("/usr/lib/jvm/{machine}/bin/java");
    let program = [java.as_str(), "/srv/Server.java"];
    let launch = |what| {
        Launch::of(what, &root)
            .file("/srv/Server.java", SERVER)
            .flag("--expose", "8080")
    };
    let granted = launch("java").excepted("SS-011/8.4.8", "{ jit = true }");
    let mut service = granted.start(&program);
    let page = service.get(8080, "/");
    assert!(page.contains("hello from pool-1-thread-1"), "{page}");
    let attacks = service.get(8080, "/attacks");
    assert!(
        attacks.contains("exec: Cannot run program") && attacks.contains("Operation not permitted"),
        "{attacks}"
    );
    assert!(
        attacks.contains("write: /usr/x (Read-only file system)"),
        "{attacks}"
    );
    service.assert_contained(8080, 1..=1);
    let record = service.record();
    assert_eq!(
        record["exceptions"].as_array().unwrap().len(),
        1,
        "{record:#}"
    );
    // The JVM's own shutdown, with the code it always gives.
    assert_eq!(service.stop(Signal::SIGTERM).0, 143);
    let without = launch("java-without").ended(&program);
    assert_eq!(without.code, 1, "{without:#?}");
    let why = "Failed to mark memory page as executable";
    assert!(without.out.contains(why), "{without:#?}");
}
