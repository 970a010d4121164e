//! Whatever a collector or a name server sends: an answer, more to come or an error, never a panic and never without end.
#![no_main]
use cofferdam::logs::ship::{dns, http, msgpack, otlp, relp};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let mut answers = relp::Answers::default();
    for piece in bytes.chunks(7) {
        answers.bytes.extend_from_slice(piece);
        while let Ok(Some(_)) = answers.take() {}
    }
    for ended in [false, true] {
        if let Ok(Some(response)) = http::response(bytes, ended) {
            assert!(response.length <= bytes.len() && response.body.len() <= bytes.len());
            let _ = otlp::partial_success(&response.body);
        }
    }
    let _ = otlp::partial_success(bytes);
    if let msgpack::Answer::Ack(chunk, length) = msgpack::ack(bytes) {
        assert!(chunk.len() < length && length <= bytes.len());
    }
    let asked = dns::question(7, "siem.test", dns::Kind::A).expect("a name");
    let _ = dns::answer(&asked, bytes);
    let _ = dns::answer(&asked, &[&asked[..2], &[0x80, 0], bytes].concat());
    if let Ok(text) = std::str::from_utf8(bytes) {
        assert!(dns::servers(text).addresses.len() <= 3);
        let _ = dns::hosts(text, "siem.test");
    }
});
