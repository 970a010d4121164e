//! config.toml: a runtime handler in the CRI plugin's tables, and `default_runtime_name`.

use super::{Direction, InstallError, Wish, kept_text, placed};
use std::path::Path;
use toml_edit::{DocumentMut, Item, Table, value};

const V2: &str = include_str!("../../profiles/engines/containerd.toml");
const V3: &str = include_str!("../../profiles/engines/containerd2.toml");

/// What a new file begins with; containerd 2 reads this version too.
const NEW: &str = "version = 2\n";

pub(super) fn edited(
    wish: &Wish,
    path: &Path,
    before: Option<&str>,
) -> Result<Option<String>, InstallError> {
    let text = before.unwrap_or(NEW);
    let mut document = parse(path, text)?;
    let (plugin, ours) = match document.get("version").and_then(Item::as_integer) {
        Some(2) => ("io.containerd.grpc.v1.cri", V2),
        Some(3) => ("io.containerd.cri.v1.runtime", V3),
        found => {
            let found = found.map_or("no version".into(), |n| format!("version {n}"));
            return Err(InstallError::Shape {
                path: path.into(),
                why: format!(
                    "{found}: versions 2 and 3 are known; `containerd config migrate` prints it in a newer one"
                ),
            });
        }
    };
    let place = ["plugins", plugin, "containerd"];
    match wish.direction {
        Direction::Install => {
            let ours = parse(path, &placed(ours, &wish.program))?;
            let handler = ours["plugins"][plugin]["containerd"]["runtimes"]["cofferdam"].clone();
            let containerd = table(&mut document, path, &place)?;
            if wish.default {
                containerd.insert("default_runtime_name", value("cofferdam"));
            }
            let runtimes = child(containerd, path, "runtimes")?;
            if !same(runtimes.get("cofferdam"), &handler) {
                runtimes.insert("cofferdam", unplaced(handler));
            }
            Ok(Some(document.to_string()))
        }
        Direction::Uninstall => {
            if before.is_none() {
                return Ok(None);
            }
            let kept = kept_text(path);
            let there = |d: &DocumentMut| {
                d.get("plugins")
                    .and_then(|p| p.get(plugin)?.get("containerd"))
                    .is_some()
            };
            if there(&document) {
                let old = kept.as_deref().and_then(|t| parse(path, t).ok());
                let old = old.as_ref().and_then(|d| {
                    let name = d
                        .get("plugins")?
                        .get(plugin)?
                        .get("containerd")?
                        .get("default_runtime_name")?;
                    name.as_str().map(String::from)
                });
                let containerd = table(&mut document, path, &place)?;
                if containerd
                    .get("default_runtime_name")
                    .and_then(Item::as_str)
                    == Some("cofferdam")
                {
                    match old {
                        Some(name) => drop(containerd.insert("default_runtime_name", value(name))),
                        None => drop(containerd.remove("default_runtime_name")),
                    }
                }
                if let Some(runtimes) = containerd
                    .get_mut("runtimes")
                    .and_then(Item::as_table_like_mut)
                {
                    runtimes.remove("cofferdam");
                }
                prune(
                    document.as_table_mut(),
                    &["plugins", plugin, "containerd", "runtimes"],
                );
            }
            let text = document.to_string();
            Ok((text.trim() != NEW.trim() || kept.is_some()).then_some(text))
        }
    }
}

fn parse(path: &Path, text: &str) -> Result<DocumentMut, InstallError> {
    text.parse()
        .map_err(|why: toml_edit::TomlError| InstallError::Unreadable {
            path: path.into(),
            why: why.to_string().trim().replace('\n', " "),
        })
}

/// A table that is there or is made, without a header of its own as long as it is only a way to others.
fn table<'a>(
    document: &'a mut DocumentMut,
    path: &Path,
    names: &[&str],
) -> Result<&'a mut dyn toml_edit::TableLike, InstallError> {
    let mut at: &mut dyn toml_edit::TableLike = document.as_table_mut();
    for name in names {
        at = child(at, path, name)?;
    }
    Ok(at)
}

fn child<'a>(
    table: &'a mut dyn toml_edit::TableLike,
    path: &Path,
    name: &str,
) -> Result<&'a mut dyn toml_edit::TableLike, InstallError> {
    let made = || {
        let mut table = Table::new();
        table.set_implicit(true);
        Item::Table(table)
    };
    let item = table.entry(name).or_insert_with(made);
    item.as_table_like_mut().ok_or_else(|| InstallError::Shape {
        path: path.into(),
        why: format!("{name} is not a table"),
    })
}

fn same(there: Option<&Item>, ours: &Item) -> bool {
    let text = |key: &[&str], item: &Item| {
        let found = key.iter().try_fold(item, |at, k| at.get(k));
        found.and_then(Item::as_str).map(String::from)
    };
    let keys: [&[&str]; 2] = [&["runtime_type"], &["options", "BinaryName"]];
    there.is_some_and(|there| keys.iter().all(|k| text(k, there) == text(k, ours)))
}

/// Tables remember where they stood in their file: in another one they go to the end.
fn unplaced(mut item: Item) -> Item {
    if let Some(table) = item.as_table_mut() {
        let keys: Vec<String> = table.iter().map(|(k, _)| k.to_string()).collect();
        table.set_position(None);
        table.decor_mut().clear();
        for key in keys {
            if let Some(inner) = table.remove(&key) {
                table.insert(&key, unplaced(inner));
            }
        }
    }
    item
}

/// Removes the tables on this way that hold nothing any more, from the inside out.
fn prune(root: &mut dyn toml_edit::TableLike, way: &[&str]) {
    let [name, rest @ ..] = way else { return };
    let Some(inner) = root.get_mut(name).and_then(Item::as_table_like_mut) else {
        return;
    };
    prune(inner, rest);
    if inner.is_empty() {
        root.remove(name);
    }
}
