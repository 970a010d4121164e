//! daemon.json: a member of `runtimes`, and `default-runtime`.

use super::{Direction, InstallError, Wish, json, kept_text, placed};
use serde_json::Value;
use std::path::Path;

const RUNTIME: &str = include_str!("../../profiles/engines/docker.json");

pub(super) fn edited(
    wish: &Wish,
    path: &Path,
    before: Option<&str>,
) -> Result<Option<String>, InstallError> {
    let text = before.unwrap_or_default();
    // Docker takes an empty file for an empty object.
    let text = if text.trim().is_empty() { "{}\n" } else { text };
    let found: Value = parse(path, text)?;
    match wish.direction {
        Direction::Install => {
            let ours: Value = parse(path, &placed(RUNTIME, &wish.program))?;
            let mut out = set(
                path,
                text,
                &["runtimes", "cofferdam"],
                &ours["runtimes"]["cofferdam"],
            )?;
            if wish.default {
                out = set(path, &out, &["default-runtime"], &"cofferdam".into())?;
            }
            Ok(Some(out))
        }
        Direction::Uninstall => {
            let kept = kept_text(path);
            let old: Value = kept
                .as_deref()
                .and_then(|t| serde_json::from_str(t).ok())
                .unwrap_or_default();
            let mut out = json::remove(text, &["runtimes", "cofferdam"]);
            if found["default-runtime"] == "cofferdam" {
                out = match &old["default-runtime"] {
                    Value::String(name) if name != "cofferdam" => {
                        set(path, &out, &["default-runtime"], &name.as_str().into())?
                    }
                    _ => json::remove(&out, &["default-runtime"]),
                };
            }
            // Nothing but what install made: the file was not there before.
            let empty =
                out.trim() == "{}" || parse(path, &out)?.as_object().is_some_and(|o| o.is_empty());
            Ok((before.is_some() && !(empty && kept.is_none())).then_some(out))
        }
    }
}

fn parse(path: &Path, text: &str) -> Result<Value, InstallError> {
    serde_json::from_str(text).map_err(|why| InstallError::Unreadable {
        path: path.into(),
        why: why.to_string(),
    })
}

fn set(path: &Path, text: &str, at: &[&str], value: &Value) -> Result<String, InstallError> {
    json::set(text, at, value).map_err(|why| InstallError::Shape {
        path: path.into(),
        why: why.to_string(),
    })
}
