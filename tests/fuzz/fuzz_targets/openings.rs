//! Words that open a container, questions of peers, headers: understood whole or refused, never a panic.
#![no_main]
use cofferdam::ports;
use cofferdam::request::openings;

libfuzzer_sys::fuzz_target!(|text: &str| {
    if let Ok(p) = openings::publish(text) {
        assert_eq!(openings::publish(&p.to_string()), Ok(p));
    }
    if let Ok(range) = openings::cidr(text) {
        assert_eq!(openings::cidr(&range.to_string()), Ok(range));
        assert!(range.holds(range.address));
    }
    if let Ok(c) = openings::connect(text) {
        assert_eq!(openings::connect(&c.to_string()), Ok(c));
    }
    if let Ok(l) = openings::listen(text) {
        assert_eq!(openings::listen(&l.to_string()), Ok(l));
    }
    let _ = openings::link(text);
    let _ = openings::mode(text);
    let _ = openings::proxy(text);
    let _ = openings::network(text);
    let _ = openings::count(text);
    let _ = ports::parse_question(text);
    let _ = ports::cni::complaint(text);
    if let Ok(answer) = ports::cni::answer(text.as_bytes()) {
        let _ = ports::cni::attachment(&answer);
    }
    if let Some((from, to)) = text.split_once(' ')
        && let (Ok(from), Ok(to)) = (from.parse(), to.parse())
    {
        for version in [openings::ProxyHeader::V1, openings::ProxyHeader::V2] {
            assert!(ports::proxy_header(version, from, to).len() <= 107);
        }
    }
});
