//! The cgroup as a scope of systemd's: started around a process, changed, stopped, over D-Bus.
//!
//! Takes no decisions: the unit, its properties and the manager are the plan's, or the record's. A connection lives as
//! long as one deed. Interface: org.freedesktop.systemd1(5).

use super::{Cgroup, CgroupError, ScopeRecord, make};
use crate::dbus::{Connection, DbusError, Target, Value};
use crate::plan::limits::{LimitPlan, Manager, Property, PropertyValue, ScopePlan};
use nix::unistd::Pid;
use std::thread::sleep;
use std::time::{Duration, Instant};

const NAME: &str = "org.freedesktop.systemd1";

const MANAGER: Target<'_> = Target {
    name: NAME,
    path: "/org/freedesktop/systemd1",
    interface: "org.freedesktop.systemd1.Manager",
};

/// How long a job may take; systemd's own limit for stopping is longer, but by then nobody is left in the scope.
const PATIENCE: Duration = Duration::from_secs(30);

/// How long systemd may take to notice that a scope is empty.
const MOMENT: Duration = Duration::from_secs(5);

/// Starts the scope with this process in it, and opens its cgroup. Nothing is written into it yet.
pub(super) fn start(cgroup: &mut Cgroup, plan: &LimitPlan, pid: Pid) -> Result<(), CgroupError> {
    let Some(scope) = &plan.scope else {
        return Ok(());
    };
    let record = ScopeRecord::of(scope);
    let mut systemd = Systemd::of(&record.manager)?;
    systemd.hear_of_jobs()?;
    let job = match systemd.ask_for(scope, pid) {
        Err(error) if is(&error, "UnitExists") => {
            systemd.clear(&record.unit)?;
            systemd.ask_for(scope, pid)
        }
        other => other,
    };
    let job = match job {
        Err(error) if is(&error, "UnitExists") => {
            return Err(CgroupError::UnitInUse { unit: record.unit });
        }
        other => other?,
    };
    cgroup.scope = Some(record);
    systemd
        .started(&job, scope)
        .and_then(|()| {
            let mut places = plan.dirs.iter();
            places.try_for_each(|place| make::adopt(cgroup, place))
        })
        .inspect_err(|_| {
            // This error is the one to tell; without its process the scope ends by itself, too.
            let _ = systemd.stop(&scope.unit);
        })
}

/// Other limits; at once, and until the unit ends.
pub(super) fn set(scope: &ScopeRecord, limits: &[Property]) -> Result<(), CgroupError> {
    if limits.is_empty() {
        return Ok(());
    }
    let body = vec![
        Value::text(&scope.unit),
        Value::flag(true),
        properties(limits.iter().map(pair)),
    ];
    let mut systemd = Systemd::of(&scope.manager)?;
    systemd.call("SetUnitProperties", body)?;
    Ok(())
}

/// Stops the scope (nobody is left in it) and makes systemd forget it. A unit of the name that is not ours any more
/// stays as it is: its cgroup is another one.
pub(super) fn stop(cgroup: &Cgroup, scope: &ScopeRecord) -> Result<(), CgroupError> {
    let mut systemd = match Systemd::of(&scope.manager) {
        Ok(systemd) => systemd,
        // systemd removes an empty scope by itself; what is left then is for rmdir.
        Err(_) if !is_there(cgroup) => return Ok(()),
        Err(error) => return Err(error.into()),
    };
    if scope.asked {
        return systemd.sweep(&scope.unit);
    }
    if is_there(cgroup) {
        systemd.hear_of_jobs()?;
        systemd.stop_if_there(&scope.unit)?;
    }
    let until = Instant::now() + MOMENT;
    while is_there(cgroup) && Instant::now() < until {
        sleep(Duration::from_millis(5));
    }
    // What ended by a signal or for want of memory is remembered as failed; anything else has no such unit any more.
    let _ = systemd.call("ResetFailedUnit", vec![Value::text(&scope.unit)]);
    Ok(())
}

/// Whether the container's own cgroup exists.
fn is_there(cgroup: &Cgroup) -> bool {
    cgroup.members.iter().any(|member| {
        let root = cgroup.root_of(&member.place.mount);
        let dir = root.map(|r| r.dir(member.place.mount.as_path(), &member.place.path));
        matches!(dir, Some(Ok(dir)) if dir.inode() == Ok(member.inode))
    })
}

/// Whether the answer was systemd's error of this name.
fn is(error: &DbusError, wanted: &str) -> bool {
    matches!(error, DbusError::Answer { name, .. } if name.strip_prefix(NAME) == Some(&format!(".{wanted}")))
}

struct Systemd(Connection);

impl Systemd {
    fn of(manager: &Manager) -> Result<Self, DbusError> {
        let (Manager::System { bus } | Manager::User { bus }) = manager;
        Connection::open(bus).map(Self)
    }

    fn call(&mut self, member: &str, body: Vec<Value>) -> Result<Vec<Value>, DbusError> {
        self.0.call(MANAGER, member, body)
    }

    /// Before the first job: its end can come earlier than the answer to the call that made it.
    fn hear_of_jobs(&mut self) -> Result<(), DbusError> {
        self.0.listen(
            "type='signal',sender='org.freedesktop.systemd1',path='/org/freedesktop/systemd1',interface='org.freedesktop.systemd1.Manager',member='JobRemoved'",
        )?;
        self.call("Subscribe", Vec::new()).map(drop)
    }

    /// A job that starts the scope; its path.
    fn ask_for(&mut self, scope: &ScopePlan, pid: Pid) -> Result<String, DbusError> {
        let pids = Value::Array("u".into(), vec![Value::word(pid.as_raw() as u32)]);
        let all = scope.identity.iter().chain(&scope.limits).map(pair);
        let body = vec![
            Value::text(&scope.unit),
            Value::text("replace"),
            properties(all.chain([("PIDs", pids)])),
            Value::Array("(sa(sv))".into(), Vec::new()),
        ];
        let answer = self.call("StartTransientUnit", body)?;
        path_of(&answer)
    }

    /// Waits until the scope stands where it should.
    fn started(&mut self, job: &str, scope: &ScopePlan) -> Result<(), CgroupError> {
        let unit = || scope.unit.clone();
        match self.result_of(job)?.as_str() {
            "done" => {}
            result => {
                let result = result.into();
                return Err(CgroupError::NoScope {
                    unit: unit(),
                    result,
                });
            }
        }
        let found = self.property(&scope.unit, "Scope", "ControlGroup")?;
        if found != scope.cgroup {
            return Err(CgroupError::Elsewhere {
                unit: unit(),
                expected: scope.cgroup.clone(),
                found,
            });
        }
        Ok(())
    }

    /// How a job ended.
    fn result_of(&mut self, job: &str) -> Result<String, DbusError> {
        let until = Instant::now() + PATIENCE;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let signal = self.0.signal(left, "the end of a job of systemd's")?;
            let removed = signal.member.as_deref() == Some("JobRemoved");
            if let (true, [_, path, _, result]) = (removed, signal.body.as_slice())
                && path.as_text() == Some(job)
            {
                return Ok(result.as_text().unwrap_or_default().into());
            }
        }
    }

    fn stop(&mut self, unit: &str) -> Result<(), DbusError> {
        let body = vec![Value::text(unit), Value::text("replace")];
        let answer = self.call("StopUnit", body)?;
        let job = path_of(&answer)?;
        self.result_of(&job).map(drop)
    }

    fn stop_if_there(&mut self, unit: &str) -> Result<(), DbusError> {
        match self.stop(unit) {
            Err(error) if is(&error, "NoSuchUnit") => Ok(()),
            other => other,
        }
    }

    /// Its ActiveState, a failure being forgotten first; "inactive" is also what is not there.
    fn state_of(&mut self, unit: &str) -> Result<String, DbusError> {
        let _ = self.call("ResetFailedUnit", vec![Value::text(unit)]);
        match self.property(unit, "Unit", "ActiveState") {
            Err(error) if is(&error, "NoSuchUnit") => Ok("inactive".into()),
            other => other,
        }
    }

    /// Makes a name free that a leftover has: one that has failed is forgotten, an empty one stopped.
    fn clear(&mut self, unit: &str) -> Result<(), CgroupError> {
        let until = Instant::now() + MOMENT;
        loop {
            let state = self.state_of(unit)?;
            match state.as_str() {
                // It is on its way out: systemd collects it when it comes to it.
                "inactive" | "failed" | "deactivating" => {}
                _ => match self.processes_of(unit)? {
                    0 => self.stop(unit)?,
                    _ => return Err(CgroupError::UnitInUse { unit: unit.into() }),
                },
            }
            if state == "inactive" || Instant::now() > until {
                return Ok(());
            }
            sleep(Duration::from_millis(10));
        }
    }

    /// Ends what a launcher that is gone may have asked for. systemd removes a scope when its last process leaves it:
    /// one whose process was dead before it came there stays for ever, active and empty. One with processes is left
    /// alone: it is another container's, or its processes are about to die, and it goes with them.
    fn sweep(&mut self, unit: &str) -> Result<(), CgroupError> {
        self.hear_of_jobs()?;
        let until = Instant::now() + MOMENT;
        // What was asked for last may be carried out after the first look.
        let mut looks = 0;
        while looks < 3 && Instant::now() < until {
            let state = self.state_of(unit)?;
            let empty = match state.as_str() {
                "inactive" => true,
                "active" => match self.processes_of(unit) {
                    Err(error) if is(&error, "NoSuchUnit") => true,
                    other => other? == 0,
                },
                _ => false,
            };
            looks = if empty { looks + 1 } else { 0 };
            if looks == 2 && state == "active" {
                self.stop_if_there(unit)?;
            }
            sleep(Duration::from_millis(50));
        }
        Ok(())
    }

    fn processes_of(&mut self, unit: &str) -> Result<usize, DbusError> {
        let answer = self.call("GetUnitProcesses", vec![Value::text(unit)])?;
        match answer.first() {
            Some(Value::Array(_, processes)) => Ok(processes.len()),
            _ => Err(DbusError::Malformed("no list of processes")),
        }
    }

    /// A text property of a unit that is loaded.
    fn property(&mut self, unit: &str, of: &str, name: &str) -> Result<String, DbusError> {
        let path = path_of(&self.call("GetUnit", vec![Value::text(unit)])?)?;
        let target = Target {
            name: NAME,
            path: &path,
            interface: "org.freedesktop.DBus.Properties",
        };
        let interface = format!("{NAME}.{of}");
        let answer = self.0.call(
            target,
            "Get",
            vec![Value::text(interface), Value::text(name)],
        )?;
        let text = answer.first().and_then(Value::as_text);
        text.map(String::from)
            .ok_or(DbusError::Malformed("no text property"))
    }
}

fn path_of(answer: &[Value]) -> Result<String, DbusError> {
    match answer.first() {
        Some(Value::Path(path)) => Ok(path.clone()),
        _ => Err(DbusError::Malformed("no path of an object")),
    }
}

fn pair(property: &Property) -> (&'static str, Value) {
    let value = match &property.value {
        PropertyValue::Text(text) => Value::text(text),
        PropertyValue::Flag(flag) => Value::flag(*flag),
        PropertyValue::Number(number) => Value::long(*number),
        PropertyValue::Set(bits) => Value::bytes(bits),
        PropertyValue::Devices(all) => {
            let one =
                |(path, n): &(String, u64)| Value::Struct(vec![Value::text(path), Value::long(*n)]);
            Value::Array("(st)".into(), all.iter().map(one).collect())
        }
    };
    (property.name, value)
}

/// a(sv)
fn properties(all: impl Iterator<Item = (&'static str, Value)>) -> Value {
    let one =
        |(name, value): (&str, Value)| Value::Struct(vec![Value::text(name), value.variant()]);
    Value::Array("(sv)".into(), all.map(one).collect())
}
