//! Against a bus that the test plays: who talks nonsense, or not at all, gets a sentence.

use super::*;
use std::os::unix::net::UnixListener;
use std::thread;

/// A bus of one connection that says `lines` to the log-in and then does `then`.
fn bus(
    answer: &'static [u8],
    then: impl FnOnce(UnixStream) + Send + 'static,
) -> (tempfile::TempDir, String) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bus");
    let listener = UnixListener::bind(&path).unwrap();
    thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut seen = [0; 16];
        stream.read_exact(&mut seen).unwrap();
        stream.write_all(answer).unwrap();
        then(stream);
    });
    (folder, format!("unix:path={}", path.display()))
}

fn next(stream: &mut UnixStream) -> Message {
    let mut bytes = vec![0; FIXED];
    stream.read_exact(&mut bytes).unwrap();
    bytes.resize(Message::length(&bytes).unwrap(), 0);
    stream.read_exact(&mut bytes[FIXED..]).unwrap();
    Message::parse(&bytes).unwrap().unwrap()
}

#[test]
fn signals_between_a_call_and_its_answer_are_kept() {
    let (_folder, address) = bus(b"OK 1234\r\n", |mut stream| {
        stream.read_exact(&mut [0; 7]).unwrap(); // BEGIN
        for number in 1..=2 {
            let call = next(&mut stream);
            let signal = Message {
                member: Some(format!("S{number}")),
                ..Message::new(Kind::Signal, 10 + number)
            };
            let answer = Message {
                reply_to: Some(call.serial),
                body: vec![Value::text(call.member.unwrap())],
                ..Message::new(Kind::Return, 20 + number)
            };
            stream.write_all(&signal.bytes()).unwrap();
            stream.write_all(&answer.bytes()).unwrap();
        }
    });
    let mut connection = Connection::open(&address).unwrap();
    let answer = connection.call(BUS, "Echo", Vec::new()).unwrap();
    assert_eq!(answer, [Value::text("Echo")]);
    let wait = Duration::from_secs(5);
    for name in ["S1", "S2"] {
        let signal = connection.signal(wait, "it").unwrap();
        assert_eq!(signal.member.as_deref(), Some(name));
    }
    assert!(matches!(
        connection.signal(wait, "it"),
        Err(DbusError::Broken(_))
    ));
}

#[test]
fn who_is_not_let_in_is_told_so() {
    let (_folder, address) = bus(b"REJECTED EXTERNAL\r\n", |_| {});
    let error = Connection::open(&address).unwrap_err();
    assert!(error.to_string().contains("REJECTED EXTERNAL"), "{error}");
    let (_folder, address) = bus(&[b'x'; 600], |_| {});
    let error = Connection::open(&address).unwrap_err();
    assert_eq!(error, DbusError::Malformed("a line without an end"));
}

#[test]
fn an_error_has_its_name_and_text() {
    let (_folder, address) = bus(b"OK 1234\r\n", |mut stream| {
        stream.read_exact(&mut [0; 7]).unwrap(); // BEGIN
        let call = next(&mut stream);
        let answer = Message {
            reply_to: Some(call.serial),
            error: Some("org.example.No".into()),
            body: vec![Value::text("because")],
            ..Message::new(Kind::Error, 1)
        };
        stream.write_all(&answer.bytes()).unwrap();
    });
    let error = Connection::open(&address).unwrap_err();
    assert_eq!(
        error.to_string(),
        "called Hello over the message bus: because (org.example.No)"
    );
}
