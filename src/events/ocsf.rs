//! An event in the shape of the Open Cybersecurity Schema Framework (version 1.3), for collectors that expect it. Pure.
//!
//! | events | class |
//! |---|---|
//! | started, exited, exec, hook | Process Activity (1007) |
//! | identity, granted, clamped, exception-used, verified, refused | Compliance Finding (2003), with the controls |
//! | denied-call, denied-access, oom-killed, limit-hit, peer-refused | Detection Finding (2004) |
//! | port, port-native, port-refused | Network Activity (4001) |
//! | everything else | Application Lifecycle (6002) |
//!
//! The event itself stands, whole, in `unmapped`.

use super::model::{Event, What};
use super::parts::{Change, ExecResult, HookResult};
use crate::logs::Origin;
use serde_json::{Value, json};

/// The version of the schema.
const VERSION: &str = "1.3.0";

#[derive(Clone, Copy)]
enum Class {
    Process,
    Compliance,
    Detection,
    Network,
    Lifecycle,
}

impl Class {
    /// Its number; the category is its thousands.
    const fn uid(self) -> u64 {
        match self {
            Self::Process => 1007,
            Self::Compliance => 2003,
            Self::Detection => 2004,
            Self::Network => 4001,
            Self::Lifecycle => 6002,
        }
    }
}

const OTHER: u64 = 99;
/// Of findings.
const CREATE: u64 = 1;

/// Class, activity in it, severity (1 informational, 2 low, 3 medium, 4 high), and whether it went well.
fn kind(what: &What) -> (Class, u64, u64, Option<bool>) {
    use Class::{Compliance, Detection, Lifecycle, Network, Process};
    match what {
        What::Started { .. } => (Process, 1, 1, Some(true)),
        What::Exited { code, .. } => (Process, 2, 1, Some(*code == Some(0))),
        What::Exec { result, .. } => {
            let well = *result == ExecResult::Allowed;
            (Process, 1, if well { 2 } else { 3 }, Some(well))
        }
        What::Hook { result, .. } => (Process, 1, 1, Some(*result == HookResult::Done)),
        What::Identity { .. } | What::Granted { .. } | What::Verified { .. } => {
            (Compliance, CREATE, 1, Some(true))
        }
        What::Clamped { .. } | What::ExceptionUsed { .. } => (Compliance, CREATE, 2, None),
        What::Refused { .. } => (Compliance, CREATE, 3, Some(false)),
        What::DeniedCall { .. } | What::DeniedAccess { .. } => (Detection, CREATE, 3, None),
        What::PeerRefused { .. } => (Detection, CREATE, 4, None),
        What::OomKilled { .. } | What::LimitHit { .. } => (Detection, CREATE, 2, None),
        What::Port { .. } | What::PortNative { .. } => (Network, 6, 1, None),
        What::PortRefused { .. } => (Network, 5, 2, None),
        What::LifetimeReached { .. } => (Lifecycle, 4, 1, None),
        What::Changed {
            change: Change::Deleted,
            ..
        } => (Lifecycle, 2, 1, None),
        What::Gap { .. } | What::WorkerRestarted { .. } => (Lifecycle, OTHER, 3, None),
        _ => (Lifecycle, OTHER, 1, None),
    }
}

/// The event as an OCSF object.
pub fn of(event: &Event, origin: &Origin) -> Value {
    let (class, activity, severity, well) = kind(&event.what);
    let own = serde_json::to_value(event).unwrap_or_default();
    let name = event.what.kind();
    let message = event.what.to_string();
    let uid = format!("{}/{}", event.id, event.launch);
    let product = json!({ "name": "cofferdam", "vendor_name": "cofferdam", "version": env!("CARGO_PKG_VERSION") });
    let mut all = json!({
        "class_uid": class.uid(),
        "category_uid": class.uid() / 1000,
        "activity_id": activity,
        "activity_name": name,
        "type_uid": class.uid() * 100 + activity,
        "severity_id": severity,
        "status_id": well.map_or(0, |well| if well { 1 } else { 2 }),
        "time": milliseconds(&event.time),
        "message": message,
        "metadata": {
            "version": VERSION,
            "product": product,
            "event_code": name,
            "original_time": event.time,
            "correlation_uid": uid,
            "profiles": ["container", "host"],
        },
        "device": { "hostname": origin.host, "type_id": 1, "uid": origin.boot },
    });
    // The profile "container" has its place for one in the device, which every class has.
    let image = origin.image.as_ref();
    all["device"]["container"] = json!({
        "name": event.id,
        "uid": uid,
        "image": image.map(|image| json!({ "name": image, "uid": image })),
    });
    let more = match class {
        Class::Process => process(event),
        Class::Compliance => compliance(event, &uid, well),
        Class::Detection => json!({ "finding_info": finding(event, &uid) }),
        Class::Network => network(event, &origin.host),
        Class::Lifecycle => json!({ "app": product }),
    };
    merge(&mut all, more);
    // What isn't known isn't there: the schema has no nulls.
    without_nulls(&mut all);
    all["unmapped"] = own;
    all
}

fn without_nulls(value: &mut Value) {
    if let Value::Object(all) = value {
        all.retain(|_, v| !v.is_null());
        all.values_mut().for_each(without_nulls);
    }
}

fn merge(all: &mut Value, own: Value) {
    if let (Value::Object(all), Value::Object(own)) = (all, own) {
        all.extend(own);
    }
}

fn process(event: &Event) -> Value {
    let (name, pid, actor) = match &event.what {
        What::Started { program, pid } => (program.as_str(), Some(*pid), None),
        What::Exec { program, by, .. } => (program.as_str(), None, Some(by)),
        What::Hook { program, .. } => (program.as_str(), None, None),
        _ => ("", None, None),
    };
    let code = match &event.what {
        What::Exited { code, signal, .. } => {
            code.map_or(signal.map(|s| 128 + s), |c| Some(c.into()))
        }
        _ => None,
    };
    let mut all = json!({
        "process": { "name": name, "pid": pid, "uid": format!("{}/{}", event.id, event.launch) },
        "actor": { "app_name": "cofferdam" },
    });
    if let Some(by) = actor {
        all["actor"]["user"] =
            json!({ "uid": by.uid.to_string(), "type_id": u8::from(by.uid == 0) + 1 });
    }
    if let Some(code) = code {
        all["exit_code"] = code.into();
    }
    all
}

/// One finding for each launch, kind and set of controls.
fn finding(event: &Event, uid: &str) -> Value {
    let controls: Vec<&str> = event.controls.iter().map(|c| c.as_str()).collect();
    json!({
        "uid": format!("{uid}/{}/{}", event.what.kind(), controls.join(",")),
        "title": event.what.to_string(),
        "types": controls,
    })
}

fn compliance(event: &Event, uid: &str, well: Option<bool>) -> Value {
    let control = event.controls.first().map(|c| c.as_str());
    json!({
        "finding_info": finding(event, uid),
        "compliance": {
            "standards": ["DWP SS-011", "OSG service containers"],
            "requirements": event.controls,
            "control": control,
            "status_id": match well { Some(true) => 1, None => 2, Some(false) => 3 },
        },
    })
}

fn network(event: &Event, host: &str) -> Value {
    match &event.what {
        What::Port {
            port,
            bytes_in,
            bytes_out,
            ..
        } => json!({
            "dst_endpoint": { "hostname": host, "port": port },
            "traffic": { "bytes_in": bytes_in, "bytes_out": bytes_out },
        }),
        What::PortNative { port, .. } => json!({
            "dst_endpoint": { "hostname": host, "port": port },
        }),
        What::PortRefused { port, peer, .. } => json!({
            "dst_endpoint": { "hostname": host, "port": port },
            "src_endpoint": endpoint(peer),
        }),
        _ => json!({}),
    }
}

/// A peer by its address, or by the name that it has without one.
fn endpoint(peer: &str) -> Value {
    let socket = peer.parse::<std::net::SocketAddr>();
    match (socket, peer.parse::<std::net::IpAddr>()) {
        (Ok(at), _) => json!({ "ip": at.ip().to_string(), "port": at.port() }),
        (_, Ok(ip)) => json!({ "ip": ip.to_string() }),
        _ => json!({ "name": peer }),
    }
}

/// RFC 3339 as the launcher writes it, in milliseconds since 1970.
fn milliseconds(time: &str) -> u64 {
    crate::clock::seconds(time).map_or(0, |(seconds, micros)| seconds * 1000 + micros / 1000)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::events::samples::samples;
    use crate::events::tests::about;

    fn origin() -> Origin {
        Origin {
            id: "web".into(),
            name: None,
            image: Some("shop:1".into()),
            host: "h".into(),
            boot: "b".into(),
            launch: "1".into(),
        }
    }

    /// The attributes that the schema requires of each class (ocsf-schema 1.3: base_event, and the class's own).
    #[test]
    fn every_kind_has_what_its_class_requires() {
        let base = "activity_id category_uid class_uid metadata severity_id time type_uid";
        for what in samples("x") {
            let event = what.event(&about("web"), &[]);
            let all = of(&event, &origin());
            let own = match all["class_uid"].as_u64().unwrap() {
                1007 => "actor device process",
                2003 => "compliance finding_info",
                2004 => "finding_info",
                4001 => "dst_endpoint",
                6002 => "app",
                other => panic!("{other}"),
            };
            for key in base.split(' ').chain(own.split(' ')) {
                assert!(!all[key].is_null(), "{key} in {all:#}");
            }
            let (class, activity) = (&all["class_uid"], &all["activity_id"]);
            let number = |v: &Value| v.as_u64().unwrap();
            assert_eq!(number(&all["category_uid"]), number(class) / 1000);
            assert_eq!(
                number(&all["type_uid"]),
                number(class) * 100 + number(activity)
            );
            assert!(all["metadata"]["product"]["vendor_name"].is_string());
            assert!(!all["metadata"]["version"].is_null() && !all["device"]["type_id"].is_null());
            for (at, key) in [
                ("finding_info", "uid"),
                ("finding_info", "title"),
                ("compliance", "standards"),
            ] {
                assert!(all[at].is_null() || !all[at][key].is_null());
            }
            assert!(number(&all["time"]) > 1_700_000_000_000);
            assert_eq!(all["unmapped"], serde_json::to_value(&event).unwrap());
        }
    }
}
