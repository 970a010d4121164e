//! The device filter put in place and read back: lines for v1, an attached program for v2.

use super::{Cgroup, CgroupError, Difference};
use crate::controls::ControlId;
use crate::plan::limits::{DeviceFilter, LimitPlan};
use crate::sys::bpf;
use nix::errno::Errno;
use std::os::fd::AsFd;

pub(super) fn apply(cgroup: &Cgroup, plan: &LimitPlan) -> Result<(), CgroupError> {
    match &plan.filter {
        DeviceFilter::None => Ok(()),
        DeviceFilter::V1 { dir, lines, .. } => {
            let dir = cgroup.planned(plan, *dir)?;
            let mut runs = lines.chunk_by(|(file, _), (next, _)| file == next);
            runs.try_for_each(|run| {
                dir.set_each(&run[0].0, run.iter().map(|(_, line)| line.as_str()))
            })
        }
        DeviceFilter::V2 { dir, program } => {
            let dir = cgroup.planned(plan, *dir)?;
            let failed = |what: &str, e: Errno| CgroupError::new(what, dir.path(), e);
            let code: Vec<u64> = program.iter().map(|i| i.encode()).collect();
            let program = bpf::load_device_program(&code)
                .map_err(|e| failed("loaded the device filter (bpf BPF_PROG_LOAD) for", e))?;
            bpf::attach_device_program(dir.fd(), program.as_fd())
                .map_err(|e| failed("attached the device filter (bpf BPF_PROG_ATTACH) to", e))
        }
    }
}

pub(super) fn read_back(cgroup: &Cgroup, plan: &LimitPlan) -> Result<Vec<Difference>, CgroupError> {
    let (file, expected, found) = match &plan.filter {
        DeviceFilter::None => return Ok(Vec::new()),
        DeviceFilter::V1 { dir, expected, .. } => {
            let dir = cgroup.planned(plan, *dir)?;
            let file = dir.path().join("devices.list");
            let text = dir
                .read("devices.list")
                .map_err(|e| CgroupError::new("read back", &file, e))?;
            let mut found: Vec<&str> = text.lines().map(str::trim).collect();
            let mut expected: Vec<&str> = expected.iter().map(String::as_str).collect();
            found.sort_unstable();
            expected.sort_unstable();
            (file, expected.join("; "), found.join("; "))
        }
        DeviceFilter::V2 { dir, .. } => {
            let dir = cgroup.planned(plan, *dir)?;
            let count = bpf::count_device_programs(dir.fd()).map_err(|e| {
                CgroupError::new(
                    "asked for the device filter (bpf BPF_PROG_QUERY) of",
                    dir.path(),
                    e,
                )
            })?;
            let words = |n: u32| format!("{n} device filter");
            (dir.path().to_path_buf(), words(1), words(count))
        }
    };
    if expected == found {
        return Ok(Vec::new());
    }
    Ok(vec![Difference {
        file: file.display().to_string(),
        expected,
        found,
        control: ControlId::S8_5_1,
    }])
}
