//! Files that could be the driver's user libraries, and whether they can work.

use std::fmt;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::fs::HostFs;
use super::version::DriverVersion;

/// The libraries that decide.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Library {
    /// CUDA's driver interface.
    Cuda,
    /// NVML, the management library.
    Ml,
}

/// A file that could be the one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Candidate {
    /// Which library it is by its name.
    pub library: Library,
    /// The directory that led to it.
    pub directory: PathBuf,
    /// The file, links followed as far as they lead somewhere.
    pub path: PathBuf,
    /// The version in its name.
    pub version: Option<DriverVersion>,
    /// What became of it.
    #[serde(flatten)]
    pub fate: Fate,
}

/// Whether a file was taken, or why not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "fate")]
pub enum Fate {
    /// It was taken.
    Taken,
    /// Another of the same version was taken.
    Later {
        /// That one.
        taken: PathBuf,
    },
    /// It is of another version than the kernel module.
    OtherVersion,
    /// The kernel module's version is not known.
    NoModule,
    /// Its name has no driver's version in it.
    NoVersion,
    /// It is of a `cuda-compat` package, which is for another driver by design.
    Compatibility,
    /// It cannot work.
    Unsound {
        /// Why.
        reason: Unsound,
    },
}

/// Why a file cannot work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Unsound {
    /// A link leads nowhere.
    Dangling,
    /// It is empty.
    Empty,
    /// It is no library.
    NotALibrary,
    /// It is for another kind of processor.
    OtherMachine,
    /// It cannot be read.
    Unreadable,
}

/// No driver for x86_64 Linux that has these files has a first number below this. Smaller ones are
/// an interface's, as in `libcuda.so.1.1`.
pub(super) const LEAST_BRANCH: u32 = 100;

impl Library {
    pub(super) const ALL: [Library; 2] = [Library::Cuda, Library::Ml];

    /// Returns the name of its file without a version.
    pub fn file_name(self) -> &'static str {
        match self {
            Library::Cuda => "libcuda.so",
            Library::Ml => "libnvidia-ml.so",
        }
    }
}

impl Candidate {
    /// Decides what has not been decided by the file itself.
    pub(super) fn decide(&mut self, module: Option<&DriverVersion>, taken: Option<&Path>) {
        if self.fate != Fate::NoModule {
            return;
        }
        let same = self.version.as_ref().zip(module);
        self.fate = match (same, taken) {
            (None, _) => return,
            (Some((version, module)), _) if !version.is_exactly(module) => Fate::OtherVersion,
            (_, Some(taken)) if taken != self.path => Fate::Later {
                taken: taken.to_owned(),
            },
            _ => Fate::Taken,
        };
    }
}

pub(super) fn version_of(library: Library, path: &Path) -> Option<DriverVersion> {
    let name = path.file_name()?.to_str()?;
    let text = name.strip_prefix(library.file_name())?.strip_prefix('.')?;
    let version: DriverVersion = text.parse().ok()?;
    (version.branch() >= LEAST_BRANCH).then_some(version)
}

/// Looks at the first bytes of a file: enough to tell what a removed package leaves behind, and
/// 32-bit libraries.
pub(super) fn soundness(fs: &HostFs, path: &Path) -> Result<(), Unsound> {
    const IDENTIFICATION: &[u8] = b"\x7fELF";
    /// `ELFCLASS64`, `ELFDATA2LSB`.
    const FORM: [u8; 2] = [2, 1];
    /// `EM_X86_64`.
    const MACHINE: [u8; 2] = [62, 0];
    let header = fs.first(path, 20).map_err(|_| Unsound::Unreadable)?;
    match header {
        header if header.is_empty() => Err(Unsound::Empty),
        header if !header.starts_with(IDENTIFICATION) || header.len() < 20 => {
            Err(Unsound::NotALibrary)
        }
        header if header[4..6] != FORM || header[18..20] != MACHINE => Err(Unsound::OtherMachine),
        _ => Ok(()),
    }
}

impl fmt::Display for Candidate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` is ", self.path.display())?;
        match &self.fate {
            Fate::Taken => f.write_str("taken"),
            Fate::Later { taken } => {
                let taken = taken.display();
                write!(
                    f,
                    "not taken: `{taken}` is of the same version and before it"
                )
            }
            Fate::OtherVersion => f.write_str("not taken: the kernel module is of another version"),
            Fate::NoModule => f.write_str("not taken: the kernel module's version is not known"),
            Fate::NoVersion => f.write_str("not taken: its name has no driver's version"),
            Fate::Compatibility => {
                f.write_str("not taken: it is of a `cuda-compat` package, for another driver")
            }
            Fate::Unsound { reason } => write!(f, "not taken: it {reason}"),
        }
    }
}

impl fmt::Display for Unsound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Unsound::Dangling => "is a link that leads nowhere",
            Unsound::Empty => "is empty",
            Unsound::NotALibrary => "is no library",
            Unsound::OtherMachine => "is for another kind of processor",
            Unsound::Unreadable => "cannot be read",
        })
    }
}
