//! How much a comparison may take.

use std::path::PathBuf;
use std::time::Duration;

/// How much a comparison may take, so that no file makes it run away.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Differences that are told; those beyond are counted.
    pub differences: usize,
    /// Members of one archive or directory, columns of a table, values of a checkpoint.
    pub members: usize,
    /// Archives within archives.
    pub depth: usize,
    /// Bytes of one document that is held in memory whole.
    pub in_memory: u64,
    /// Bytes that compressed members may unpack to, all together.
    pub unpacked: u64,
    /// Where members too large for memory are unpacked to, in files without a name. Without it
    /// such a member is not opened.
    pub scratch: Option<PathBuf>,
    /// The program that explains what no reader here understands; none is asked without it.
    pub diffoscope: Option<Diffoscope>,
}

/// The program `diffoscope`, as far as it may be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diffoscope {
    /// The program.
    pub program: PathBuf,
    /// How long it may take; then it is killed and its answer is left out.
    pub timeout: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            differences: 50,
            members: 100_000,
            depth: 8,
            in_memory: 256 << 20,
            unpacked: 16 << 30,
            scratch: None,
            diffoscope: None,
        }
    }
}
