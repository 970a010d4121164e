use super::*;
use proptest::prelude::*;

#[test]
fn published_ports_in_all_their_forms() {
    let all = |p: Publish| (p.address, p.host, p.inside, p.protocol);
    let any = None;
    assert_eq!(
        all(publish("8080:80").unwrap()),
        (any, 8080, 80, Protocol::Tcp)
    );
    assert_eq!(
        all(publish("53:53/udp").unwrap()),
        (any, 53, 53, Protocol::Udp)
    );
    let v6 = publish("[::1]:8080:80/tcp").unwrap();
    assert_eq!(v6.address, Some("::1".parse().unwrap()));
    assert_eq!(v6.to_string(), "[::1]:8080:80/tcp");
    for bad in [
        "",
        "80",
        "8080:",
        ":80",
        "0:80",
        "80:0",
        "8080-8090:80",
        "80:8080-8090",
        "65536:1",
        "1:65536",
        "8080:80/sctp",
        "8080:80/",
        "::1:8080:80",
        "host:8080:80",
        "[::1:8080:80",
        "1.2.3:8080:80",
        "+8080:80",
        "08080:80",
        "8080:80:",
        "[127.0.0.1]:8080:80",
        " 8080:80",
    ] {
        assert!(publish(bad).is_err(), "{bad:?}");
    }
    assert!(publish("0:80").unwrap_err().to_string().contains("port 0"));
    assert!(publish("1-2:80").unwrap_err().to_string().contains("range"));
}

#[test]
fn ranges_of_addresses_hold_what_lies_in_them() {
    let holds = |range: &str, at: &str| cidr(range).unwrap().holds(at.parse().unwrap());
    assert!(holds("10.0.0.0/8", "10.255.0.1") && !holds("10.0.0.0/8", "11.0.0.1"));
    assert!(holds("0.0.0.0/0", "8.8.8.8") && !holds("0.0.0.0/0", "::1"));
    assert!(holds("::/0", "fe80::1") && holds("127.0.0.1", "::ffff:127.0.0.1"));
    assert!(holds("fe80::/10", "febf::1") && !holds("fe80::/10", "fec0::1"));
    for bad in [
        "",
        "10.0.0.0/33",
        "10.0.0.1/8",
        "::/129",
        "10/8",
        "a/8",
        "10.0.0.0/08",
        "10.0.0.0/",
    ] {
        assert!(cidr(bad).is_err(), "{bad:?}");
    }
}

#[test]
fn links_connects_and_listening_sockets() {
    let l = link("db:5432=store:5433,wait=30").unwrap();
    assert_eq!(
        (l.port, l.local, l.wait, l.name.as_str()),
        (5432, 5433, 30, "store")
    );
    assert_eq!(link("db:5432").unwrap().to_string(), "db:5432=db:5432");
    for bad in [
        "db",
        "db:0",
        "db:5432=",
        "db:1=../x:2",
        "db:1=x:2,wait=",
        "db:1=x:2,wait=-1",
        "../db:1",
        "db:1,now",
    ] {
        assert!(link(bad).is_err(), "{bad:?}");
    }
    assert_eq!(
        connect("[::1]:25=2525").unwrap().to_string(),
        "[::1]:25=2525"
    );
    for bad in [
        "mail:25",
        "mail=25",
        ":25=2525",
        "ma il:25=1",
        "mail:25=0",
        "::1:25=1",
        "a/b:1=2",
    ] {
        assert!(connect(bad).is_err(), "{bad:?}");
    }
    assert_eq!(
        listen("tcp://[::]:80").unwrap().to_string(),
        "tcp://[::]:80"
    );
    for bad in [
        "tcp://80",
        "tcp://:80",
        "tcp://0.0.0.0:0",
        "unix:x",
        "unix:",
        "udp://0.0.0.0:1",
        "80",
    ] {
        assert!(listen(bad).is_err(), "{bad:?}");
    }
    assert!(network("host").is_err() && network("cni:../x").is_err());
}

proptest! {
    #[test]
    fn what_is_understood_prints_as_something_that_means_the_same(text in "[0-9:/\\[\\].a-z=,-]{0,24}") {
        if let Ok(p) = publish(&text) { prop_assert_eq!(publish(&p.to_string()), Ok(p)); }
        if let Ok(c) = cidr(&text) { prop_assert_eq!(cidr(&c.to_string()), Ok(c)); }
        if let Ok(c) = connect(&text) { prop_assert_eq!(connect(&c.to_string()), Ok(c)); }
        if let Ok(l) = link(&text) { prop_assert_eq!(link(&format!("{l},wait={}", l.wait)), Ok(l)); }
    }
}
