//! Measured processes, watched through `/proc`.

use std::{fs, io, time::Duration};

use fairline_figures::bench::pause;
use nix::{
    sched::{CpuSet, sched_getaffinity, sched_setaffinity},
    unistd::Pid,
};

use crate::{Failure, clock::now_us};

const QUIET_WITHIN: Duration = Duration::from_secs(30);
/// A process that uses less of one core than this is idle.
const QUIET_SHARE: f64 = 0.05;

/// Resident memory of a process, in bytes.
pub(crate) fn resident_bytes(id: u32) -> Result<u64, Failure> {
    let rollup = fs::read_to_string(format!("/proc/{id}/smaps_rollup"))?;
    let kilobytes = rollup.lines().find_map(|line| line.strip_prefix("Rss:")?.trim().strip_suffix(" kB")?.parse().ok());
    kilobytes.map(|kilobytes: u64| kilobytes * 1024).ok_or_else(|| Failure::new("smaps_rollup has no Rss"))
}

/// CPU microseconds of a process's threads, in user and kernel mode.
pub(crate) fn cpu_us(id: u32) -> Result<u64, Failure> {
    let mut ns = 0;
    for thread in fs::read_dir(format!("/proc/{id}/task"))? {
        match fs::read_to_string(thread?.path().join("schedstat")) {
            Ok(stat) => ns += stat.split(' ').next().and_then(|ns| ns.parse::<u64>().ok()).unwrap_or(0),
            // The thread has just ended.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(ns / 1000)
}

/// The same for several processes.
pub(crate) fn cpu_us_of(ids: &[u32]) -> Result<u64, Failure> {
    ids.iter().map(|&id| cpu_us(id)).sum()
}

/// Waits until processes are idle, so that one measurement does not include work of the previous
/// one.
pub(crate) fn until_quiet(ids: &[u32]) -> Result<(), Failure> {
    let deadline = now_us() + QUIET_WITHIN.as_micros() as u64;
    loop {
        let (started, before) = (now_us(), cpu_us_of(ids)?);
        pause(Duration::from_millis(500));
        let share = (cpu_us_of(ids)? - before) as f64 / (now_us() - started) as f64;
        if share < QUIET_SHARE || now_us() > deadline {
            return Ok(());
        }
    }
}

/// Runs an action on the nth available core; processes that it starts stay there.
pub(crate) fn on_core<T>(nth: usize, action: impl FnOnce() -> Result<T, Failure>) -> Result<T, Failure> {
    let this_thread = Pid::from_raw(0);
    let before = sched_getaffinity(this_thread)?;
    let cores: Vec<usize> = (0..CpuSet::count()).filter(|&core| before.is_set(core).unwrap_or(false)).collect();
    let mut one = CpuSet::new();
    one.set(cores[nth % cores.len()])?;
    sched_setaffinity(this_thread, &one)?;
    let done = action();
    sched_setaffinity(this_thread, &before)?;
    done
}
