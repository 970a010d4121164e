//! `checkpoint` and `restore`: understood, so that engines' probes get an answer, and refused.

use crate::report::Failure;
use clap::Args;
use std::path::PathBuf;

/// `checkpoint`.
#[derive(Args, Debug)]
#[command(about = "Not supported: a snapshot would take memory and secrets out of the container")]
pub struct CheckpointArgs {
    /// Where the image would go
    #[arg(long, value_name = "DIR")]
    image_path: Option<PathBuf>,
    /// Where logs would go
    #[arg(long, value_name = "DIR")]
    work_path: Option<PathBuf>,
    /// Leave it running afterwards
    #[arg(long)]
    leave_running: bool,
    /// With open TCP connections
    #[arg(long)]
    tcp_established: bool,
    /// With external unix sockets
    #[arg(long)]
    ext_unix_sk: bool,
    /// With file locks
    #[arg(long)]
    file_locks: bool,
    /// The container's id
    id: String,
}

/// `restore`.
#[derive(Args, Debug)]
#[command(about = "Not supported, as checkpoint is not")]
pub struct RestoreArgs {
    /// Where the image is
    #[arg(long, value_name = "DIR")]
    image_path: Option<PathBuf>,
    /// Where logs would go
    #[arg(long, value_name = "DIR")]
    work_path: Option<PathBuf>,
    /// The bundle's folder
    #[arg(long, short = 'b', value_name = "DIR")]
    bundle: Option<PathBuf>,
    /// Do not wait for its end
    #[arg(long, short = 'd')]
    detach: bool,
    /// Accepted for engines
    #[arg(long)]
    no_subreaper: bool,
    /// Accepted for engines
    #[arg(long)]
    no_pivot: bool,
    /// Write the process id here
    #[arg(long, value_name = "FILE")]
    pid_file: Option<PathBuf>,
    /// The container's id
    id: String,
}

/// Both.
pub(super) fn refuse(verb: &str) -> Result<u8, Failure> {
    Err(Failure::engine(format!(
        "{verb} is not supported: a snapshot writes the service's memory, with its secrets, to a disk (SS-011/8.2.2), and what is restored has not been verified; start a fresh container"
    )))
}
