//! For which GPUs a library has code: the fat binaries of NVIDIA's that compilers put into it, read
//! without running anything.
//!
//! Comes in: an ELF file. Goes out: [`DeviceCode`]. The section `.nv_fatbin` has one fat binary for each
//! source file, each of these an entry for each GPU: machine code or PTX, in most cases compressed. Only
//! the heads are read, some kilobytes of a file of a gigabyte. NVIDIA does not describe the format; what
//! is read here is what `cuobjdump --list-elf` and `--list-ptx` print
//! (`net_cuobjdump_lists_the_same_code`).
//!
//! **Invariant:** what is not understood counts as code for every GPU
//! (`what_is_not_understood_runs_everywhere`), so that nothing is refused that could work.

use std::collections::BTreeSet;
use std::fmt;
use std::fs::File;
use std::os::unix::fs::FileExt as _;

use serde::Serialize;

use super::elf::{ReadAt, bytes, section, word};

/// What a GPU can do: NVIDIA's compute capability, such as 9 and 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Capability {
    /// The generation.
    pub major: u32,
    /// The member of it.
    pub minor: u32,
}

/// The code for GPUs in a library.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct DeviceCode {
    /// What machine code is for.
    pub native: BTreeSet<Capability>,
    /// What PTX is for, which the driver compiles for every later GPU.
    pub ptx: BTreeSet<Capability>,
    /// Whether there is more that was not understood.
    pub more: bool,
}

const SECTION: &[u8] = b".nv_fatbin";

/// The head of a fat binary: this number, a version, the size of the head, the size of the entries.
const MAGIC: u64 = 0xBA55_ED50;
const VERSION: u64 = 1;
const HEAD: usize = 16;
/// The least that the head of an entry has: kind, sizes, and the GPU.
const ENTRY: usize = 64;
/// Kinds of entries.
const PTX: u64 = 1;
const NATIVE: u64 = 2;
/// Fat binaries begin at multiples of this, counted from the section's begin.
const ALIGNMENT: u64 = 8;
/// Many times more than the largest library has; a file with more is read no further.
const MOST: usize = 4_000_000;

impl DeviceCode {
    /// Reads what a file has; none if it is no library with such code.
    pub fn of(file: &File) -> Option<DeviceCode> {
        read(&|at, buffer| file.read_at(buffer, at))
    }

    /// Says whether some of it runs on a GPU: machine code runs on later members of its generation,
    /// PTX on everything later.
    ///
    /// Code for one GPU alone (`sm_90a`) counts as if it were for its generation.
    pub fn runs_on(&self, gpu: Capability) -> bool {
        let same = |it: &Capability| it.major == gpu.major && it.minor <= gpu.minor;
        self.more || self.native.iter().any(same) || self.ptx.iter().any(|it| *it <= gpu)
    }
}

pub(super) fn read(file: ReadAt<'_>) -> Option<DeviceCode> {
    let (start, size) = section(file, SECTION)?;
    let mut code = DeviceCode::default();
    if walk(file, start, start.checked_add(size)?, &mut code).is_none() {
        code.more = true;
    }
    Some(code)
}

/// Reads the fat binaries between two offsets; none if one is not as it should be.
fn walk(file: ReadAt<'_>, start: u64, end: u64, code: &mut DeviceCode) -> Option<()> {
    let mut at = start;
    for _ in 0..MOST {
        if at.checked_add(HEAD as u64)? > end {
            return Some(());
        }
        let head = bytes(file, at, HEAD)?;
        match (word(&head, 0, 4)?, word(&head, 4, 2)?) {
            (MAGIC, VERSION) => {
                let entries = at.checked_add(word(&head, 6, 2)?)?;
                let next = entries.checked_add(word(&head, 8, 8)?)?;
                if next > end || next <= at {
                    return None;
                }
                entries_between(file, entries, next, code)?;
                at = start.checked_add((next - start).checked_next_multiple_of(ALIGNMENT)?)?;
            }
            // What is between two.
            (0, 0) => at = at.checked_add(ALIGNMENT)?,
            _ => return None,
        }
    }
    None
}

fn entries_between(file: ReadAt<'_>, mut at: u64, end: u64, code: &mut DeviceCode) -> Option<()> {
    while at < end {
        let head = bytes(file, at, ENTRY)?;
        let number = u32::try_from(word(&head, 28, 4)?).ok()?;
        let gpu = Capability {
            major: number / 10,
            minor: number % 10,
        };
        match word(&head, 0, 2)? {
            NATIVE => code.native.insert(gpu),
            PTX => code.ptx.insert(gpu),
            _ => return None,
        };
        let size = word(&head, 4, 4)?.checked_add(word(&head, 8, 8)?)?;
        at = at.checked_add(size.max(ENTRY as u64))?;
    }
    (at == end).then_some(())
}

impl fmt::Display for Capability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

/// `8.0, 9.0, PTX of 9.0`.
impl fmt::Display for DeviceCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let native = self.native.iter().map(ToString::to_string);
        let ptx = self.ptx.iter().map(|it| format!("PTX of {it}"));
        let more = self.more.then(|| "something unknown".to_owned());
        let all: Vec<String> = native.chain(ptx).chain(more).collect();
        f.write_str(&all.join(", "))
    }
}
