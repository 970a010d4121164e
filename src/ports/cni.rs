//! The words of CNI: what a plugin is given, what it answers, and what that means for the container. Pure.
//!
//! Answers come from programs of the site's, which may be wrong: everything is bounded, and nothing is taken on trust.
//! Called by `container::network`, which runs the plugins.

use crate::plan::openings::{DataPath, OpeningsPlan};
use crate::survey::network::{IFNAME, Network};
use serde_json::{Value, json};
use std::net::IpAddr;

/// An answer has so many bytes at most.
pub const MOST: usize = 16 << 10;
/// The C library reads no more name servers, and no more domains.
const SERVERS: usize = 3;
const DOMAINS: usize = 6;

/// What the plugins have made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attachment {
    /// Interfaces inside.
    pub interfaces: Vec<String>,
    /// Addresses inside.
    pub addresses: Vec<IpAddr>,
    /// resolv.conf(5); empty if nothing was said.
    pub resolver: String,
}

/// The published ports that are the network's to map, as a plugin reads them.
pub fn mappings(plan: &OpeningsPlan) -> Vec<Value> {
    let all = plan.published.iter();
    let all = all.filter(|p| p.path == DataPath::Network);
    let one = |p: &crate::plan::openings::Published| {
        let mut mapping = json!({
            "hostPort": p.at.port(),
            "containerPort": p.inside,
            "protocol": p.protocol.to_string(),
        });
        if !p.at.ip().is_unspecified() {
            mapping["hostIP"] = json!(p.at.ip().to_string());
        }
        mapping
    };
    all.map(one).collect()
}

/// What the plugin at that place of the list reads.
pub fn input(network: &Network, at: usize, before: Option<&Value>, mappings: &[Value]) -> Vec<u8> {
    let mut config = network.plugins[at].config.clone();
    config.insert("name".into(), json!(network.name));
    config.insert("cniVersion".into(), json!(network.version));
    // Nobody has declared anything for it: it would be the list's own words in the place of ours.
    config.remove("runtimeConfig");
    if network.plugins[at].maps_ports() && !mappings.is_empty() {
        let mappings = json!({ "portMappings": mappings });
        config.insert("runtimeConfig".into(), mappings);
    }
    if let Some(before) = before {
        config.insert("prevResult".into(), before.clone());
    }
    serde_json::to_vec(&config).unwrap_or_default()
}

/// An answer, as it is handed to the next plugin.
pub fn answer(text: &[u8]) -> Result<Value, String> {
    if text.len() > MOST {
        return Err(format!("answered with more than {MOST} bytes"));
    }
    let value: Value =
        serde_json::from_slice(text).map_err(|e| format!("answered with bad JSON ({e})"))?;
    match value.is_object() {
        true => Ok(value),
        false => Err("answered with JSON that is not an object".into()),
    }
}

/// What a plugin says of its failure, in its own words; nothing if it can't be understood.
pub fn complaint(text: &str) -> Option<String> {
    let start = text.find('{')?;
    let value: Value = serde_json::from_str(text[start..].trim()).ok()?;
    let words: Vec<&str> = ["msg", "details"]
        .iter()
        .filter_map(|key| value.get(key).and_then(Value::as_str))
        .filter(|word| !word.is_empty())
        .collect();
    let all: String = words.join(": ").chars().take(300).collect();
    (!all.is_empty()).then(|| all.escape_debug().to_string())
}

/// The last answer, read strictly.
pub fn attachment(result: &Value) -> Result<Attachment, String> {
    let list = |key: &str| match result.get(key) {
        None | Some(Value::Null) => Ok(&[][..]),
        Some(Value::Array(all)) if all.len() <= 64 => Ok(all.as_slice()),
        Some(_) => Err(format!(
            "its answer's \"{key}\" is not a list of at most 64"
        )),
    };
    let word = |value: &Value, key: &str| {
        let word = value.get(key).and_then(Value::as_str);
        word.unwrap_or_default().to_string()
    };
    let inside = |i: &&Value| !word(i, "sandbox").is_empty();
    let interfaces: Vec<String> = list("interfaces")?
        .iter()
        .filter(inside)
        .map(|i| word(i, "name"))
        .filter(|name| name != "lo")
        .collect();
    if let Some(bad) = interfaces.iter().find(|name| !is_interface(name)) {
        return Err(format!("its answer names the interface {bad:?}"));
    }
    if !interfaces.iter().any(|name| name == IFNAME) {
        return Err(format!("its answer names no interface {IFNAME} inside"));
    }
    let addresses = list("ips")?
        .iter()
        .map(|ip| address(&word(ip, "address")))
        .collect::<Result<_, _>>()?;
    Ok(Attachment {
        interfaces,
        addresses,
        resolver: resolver(result.get("dns").unwrap_or(&Value::Null)),
    })
}

/// As the kernel would take it (dev_valid_name).
fn is_interface(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_graphic() && c != '/' && c != ':';
    (1..16).contains(&name.len()) && name != "." && name != ".." && name.chars().all(plain)
}

/// `10.1.0.5/16`.
fn address(text: &str) -> Result<IpAddr, String> {
    let wrong = || format!("its answer has the address {text:?}");
    let (ip, bits) = text.split_once('/').ok_or_else(wrong)?;
    let ip: IpAddr = ip.parse().map_err(|_| wrong())?;
    let most = if ip.is_ipv4() { 32 } else { 128 };
    match bits.parse::<u8>() {
        Ok(bits) if bits <= most => Ok(ip),
        _ => Err(wrong()),
    }
}

/// resolv.conf(5) of what was said; a word that is not one is left out, so that no line can be smuggled in.
fn resolver(dns: &Value) -> String {
    let words = |key: &str, most: usize, good: fn(&str) -> bool| -> Vec<&str> {
        let all = dns.get(key).and_then(Value::as_array);
        let all = all.into_iter().flatten().filter_map(Value::as_str);
        all.filter(|word| good(word)).take(most).collect()
    };
    let is_word = |word: &str| {
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_.:".contains(c);
        (1..=253).contains(&word.len()) && word.chars().all(plain)
    };
    let mut out = String::new();
    let domain = dns.get("domain").and_then(Value::as_str);
    if let Some(domain) = domain.filter(|d| is_word(d)) {
        out += &format!("domain {domain}\n");
    }
    let search = words("search", DOMAINS, is_word);
    if !search.is_empty() {
        out += &format!("search {}\n", search.join(" "));
    }
    for server in words("nameservers", SERVERS, |w| w.parse::<IpAddr>().is_ok()) {
        out += &format!("nameserver {server}\n");
    }
    let options = words("options", 16, is_word);
    if !options.is_empty() {
        out += &format!("options {}\n", options.join(" "));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn said() -> Value {
        json!({
            "cniVersion": "1.0.0",
            "interfaces": [
                {"name": "br0", "mac": "00:11:22:33:44:55"},
                {"name": "veth1"},
                {"name": "eth0", "sandbox": "/proc/7/ns/net"},
            ],
            "ips": [{"address": "10.1.0.5/16", "gateway": "10.1.0.1", "interface": 2}],
            "dns": {"nameservers": ["10.1.0.1", "x\nnameserver 1.1.1.1"], "domain": "a.example",
                    "search": ["a.example", "b c"], "options": ["ndots:2"]},
        })
    }

    #[test]
    fn an_answer_is_read() {
        let read = attachment(&said()).unwrap();
        assert_eq!(read.interfaces, ["eth0"]);
        assert_eq!(read.addresses, ["10.1.0.5".parse::<IpAddr>().unwrap()]);
        assert_eq!(
            read.resolver,
            "domain a.example\nsearch a.example\nnameserver 10.1.0.1\noptions ndots:2\n"
        );
    }

    #[test]
    fn what_makes_no_sense_is_named() {
        for (at, value, part) in [
            ("/interfaces", json!("eth0"), "\"interfaces\" is not a list"),
            ("/interfaces", json!([]), "no interface eth0"),
            ("/interfaces/2/name", json!("../eth0"), "../eth0"),
            ("/interfaces/2/sandbox", json!(""), "no interface eth0"),
            ("/ips/0/address", json!("10.1.0.5"), "address \"10.1.0.5\""),
            ("/ips/0/address", json!("10.1.0.5/33"), "10.1.0.5/33"),
        ] {
            let mut result = said();
            *result.pointer_mut(at).unwrap() = value;
            let why = attachment(&result).unwrap_err();
            assert!(why.contains(part), "{why}");
        }
    }

    #[test]
    fn a_complaint_is_shown_in_its_own_words() {
        let text = r#"{"code": 7, "msg": "no such bridge", "details": "br0\n"}"#;
        let text = complaint(text).unwrap();
        assert_eq!(text, "no such bridge: br0\\n");
        assert_eq!(complaint("panic: oh"), None);
    }

    proptest! {
        #[test]
        fn nothing_smuggles_a_line(word in ".{0,40}", server in ".{0,40}") {
            let mut result = said();
            result["dns"] = json!({"nameservers": [server], "domain": word, "search": [word], "options": [word]});
            let read = attachment(&result).unwrap();
            for line in read.resolver.lines() {
                let first = line.split(' ').next().unwrap();
                prop_assert!(["domain", "search", "nameserver", "options"].contains(&first), "{line:?}");
            }
            prop_assert!(read.resolver.lines().count() <= 4);
        }

        #[test]
        fn no_bytes_are_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400), text in ".{0,200}") {
            let _ = answer(&bytes).and_then(|v| attachment(&v));
            let _ = answer(text.as_bytes()).and_then(|v| attachment(&v));
            let _ = complaint(&text);
        }
    }
}
