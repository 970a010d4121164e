//! The watcher as a worker of the monitor: one listener, the notebook, the ways for events.

use super::{Notebook, Watcher};
use crate::events::{About, Sender};
use crate::plan::monitor::{Answering, MonitorPlan};
use crate::worker::{Jail, Row, Said, Worker, nothing, opens_nothing};
use std::time::Duration;

/// The row.
pub const ROW: Row = Row {
    name: "watch",
    wanted: |plan: &MonitorPlan| plan.denials == Some(Answering::Watcher),
    needs: &["listener", "notebook"],
    takes: &["tell-events", "lines"],
    prepare: nothing,
    opens: opens_nothing,
    jail: |_| Jail::default(),
    run,
    last: Duration::from_secs(5),
};

fn run(worker: &mut Worker) -> Result<(), String> {
    let fds = &mut worker.fds;
    let (listener, notebook) = (fds.must("listener")?, fds.must("notebook")?);
    let mut notebook =
        Notebook::open(notebook).map_err(|e| format!("open the notebook (mmap): {}", e.desc()))?;
    let plain = notebook.program().ok_or("the notebook holds no program")?;
    let (socket, lines) = (fds.take("tell-events"), fds.take("lines"));
    let events = Sender::by(About::from(&worker.origin), socket, lines);
    worker.tell.say(&Said::Ready);
    Watcher {
        listener,
        plain,
        carrier: None,
        notebook,
        events,
    }
    .serve();
    Ok(())
}
