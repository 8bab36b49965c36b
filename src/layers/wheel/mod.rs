//! Unpacking wheels (the binary distribution format, PEP 427).
//!
//! Comes in: a wheel. Goes out: its files below `/opt/env`, where every scheme of a virtual
//! environment lies, with scripts for its entry points, `INSTALLER`, and `RECORD` listing what is
//! there now.
//!
//! **Invariant:** every file is the one that `RECORD` lists (`tests::records_are_verified`).

mod record;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Cursor, Read};
use std::path::Path;

use envbox_lockfiles::base::{Digest, FsError, PythonName};

use crate::layers::LayerError;
use crate::layers::builder::TreeBuilder;
use crate::layers::entry_points;
use crate::layers::limits::{Exceeded, Limits};
use crate::layers::path::EntryPath;
use crate::layers::wheel::record::{Record, Second};
use crate::layers::zip::{Member, Zip};
use crate::store::TreeManifest;

/// Where wheels are installed: a virtual environment's directory.
pub const ENVIRONMENT: &str = "opt/env";

/// What the first line of a script says.
pub(super) const SHEBANG: &str = "#!/opt/env/bin/python";

/// The longest file of a wheel's metadata that is read whole.
const METADATA_LIMIT: u64 = 256 << 20;

/// Signatures of `RECORD`, which it cannot list.
const SIGNATURES: [&str; 2] = ["RECORD.jws", "RECORD.p7s"];

/// The interpreter that a wheel is installed for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct PythonTarget {
    /// 3.
    pub major: u8,
    /// 11.
    pub minor: u8,
}

impl PythonTarget {
    /// Reads the version of an interpreter: `3.11.2`.
    pub fn of_version(version: &str) -> Option<Self> {
        let mut numbers = version.split('.').map(str::parse);
        Some(Self {
            major: numbers.next()?.ok()?,
            minor: numbers.next()?.ok()?,
        })
    }

    /// Returns the directory that modules are installed to.
    pub fn site_packages(self) -> String {
        let Self { major, minor } = self;
        format!("{ENVIRONMENT}/lib/python{major}.{minor}/site-packages")
    }

    /// Returns the directory, with a slash at its end, below which modules of conda packages are.
    pub fn conda_directory(self) -> String {
        let Self { major, minor } = self;
        format!("{ENVIRONMENT}/lib/python{major}.{minor}/")
    }

    /// Returns the directories, each with a slash at its end, below which modules are: those of
    /// wheels, of the interpreter's own library and of Debian's packages.
    pub fn module_directories(self) -> [String; 4] {
        let Self { major, minor } = self;
        [
            format!("{}/", self.site_packages()),
            format!("opt/python/lib/python{major}.{minor}/"),
            format!("usr/lib/python{major}.{minor}/"),
            format!("usr/lib/python{major}/dist-packages/"),
        ]
    }
}

/// Unpacks the wheel of `name` into the empty directory `tree`.
///
/// # Errors
/// Returns [`LayerError`] when the wheel is damaged, hostile, of another project or not what its
/// `RECORD` lists, or when the tree cannot be written.
pub fn unpack_wheel(
    wheel: &Path,
    name: &PythonName,
    python: PythonTarget,
    tree: &Path,
    limits: Limits,
) -> Result<TreeManifest, LayerError> {
    let file = File::open(wheel).map_err(FsError::at("read", wheel))?;
    let packed = file.metadata().map_err(FsError::at("read", wheel))?.len();
    let zip = Zip::open(file)?;
    check_size(&zip, limits, packed)?;
    let layout = Layout::of(&zip, name, python)?;
    let mut installation = Installation {
        tree: TreeBuilder::new(tree, limits)?,
        record: layout.record(&zip)?,
        files: BTreeMap::new(),
        layout,
    };
    installation.install(&zip)?;
    installation.tree.finish()
}

/// Returns the `METADATA` of the wheel of `name`, with a digest of its own in indexes (PEP 658).
///
/// # Errors
/// As [`unpack_wheel`], which reads more of it.
pub fn wheel_metadata(wheel: &Path, name: &PythonName) -> Result<String, LayerError> {
    let zip = Zip::open(File::open(wheel).map_err(FsError::at("read", wheel))?)?;
    // It is the same for every interpreter.
    let any = PythonTarget { major: 3, minor: 0 };
    let layout = Layout::of(&zip, name, any)?;
    layout
        .metadata(&zip, "METADATA")?
        .ok_or_else(|| layout.missing("METADATA"))
}

fn check_size(zip: &Zip, limits: Limits, packed: u64) -> Result<(), LayerError> {
    let limit = limits.unpacked(packed);
    let total = zip.members.iter().try_fold(0u64, |total, member| {
        total
            .checked_add(member.size)
            .filter(|&total| total <= limit)
    });
    match total {
        Some(_) => Ok(()),
        None => Err(LayerError::Exceeded(Exceeded { limit })),
    }
}

/// Where the parts of a wheel go.
struct Layout {
    /// `name-1.0.dist-info`.
    dist_info: String,
    /// `name-1.0.data/`.
    data: String,
    name: PythonName,
    python: PythonTarget,
}

impl Layout {
    fn of(zip: &Zip, name: &PythonName, python: PythonTarget) -> Result<Self, LayerError> {
        let top = |member: &Member| {
            let (top, _) = member.name.split_once('/')?;
            top.ends_with(".dist-info").then(|| top.to_owned())
        };
        let mut found: Vec<String> = zip.members.iter().filter_map(top).collect();
        found.sort_unstable();
        found.dedup();
        let dist_info = match <[String; 1]>::try_from(found) {
            Ok([only]) => only,
            Err(found) if found.is_empty() => {
                return Err(LayerError::Missing {
                    member: "*.dist-info".to_owned(),
                });
            }
            Err(_) => {
                return Err(LayerError::Malformed {
                    reason: "it has more than one `.dist-info` directory",
                });
            }
        };
        let stem = dist_info.trim_end_matches(".dist-info").to_owned();
        let found = stem.split('-').next().unwrap_or_default();
        if found.parse::<PythonName>().as_ref() != Ok(name) {
            return Err(LayerError::WrongPackage {
                expected: name.to_string(),
                found: found.to_owned(),
            });
        }
        let layout = Self {
            data: format!("{stem}.data/"),
            dist_info,
            name: name.clone(),
            python,
        };
        layout.check_version(zip)?;
        Ok(layout)
    }

    fn check_version(&self, zip: &Zip) -> Result<(), LayerError> {
        let wheel = self
            .metadata(zip, "WHEEL")?
            .ok_or_else(|| self.missing("WHEEL"))?;
        let version = wheel
            .lines()
            .find_map(|line| line.strip_prefix("Wheel-Version:"));
        let version = version.unwrap_or_default().trim();
        match version.split('.').next() {
            Some("1") => Ok(()),
            _ => Err(LayerError::WheelVersion {
                found: version.to_owned(),
            }),
        }
    }

    fn record(&self, zip: &Zip) -> Result<Record, LayerError> {
        let text = self.metadata(zip, "RECORD")?;
        Record::parse(&text.ok_or_else(|| self.missing("RECORD"))?)
    }

    /// Returns a file of the `.dist-info` directory.
    fn metadata(&self, zip: &Zip, name: &str) -> Result<Option<String>, LayerError> {
        let wanted = format!("{}/{name}", self.dist_info);
        let member = zip.members.iter().find(|member| member.name == wanted);
        let read = |member| {
            let content = zip.content(member, METADATA_LIMIT)?;
            String::from_utf8(content).map_err(|_| LayerError::Malformed {
                reason: "a file of its metadata is not UTF-8",
            })
        };
        member.map(read).transpose()
    }

    fn missing(&self, name: &str) -> LayerError {
        LayerError::Missing {
            member: format!("{}/{name}", self.dist_info),
        }
    }

    /// Returns where a member is installed, and whether it is a script.
    fn place(&self, member: &str) -> Result<(String, bool), LayerError> {
        let site_packages = self.python.site_packages();
        let Some(data) = member.strip_prefix(&self.data) else {
            return Ok((format!("{site_packages}/{member}"), false));
        };
        let PythonTarget { major, minor } = self.python;
        let (scheme, rest) = data.split_once('/').unwrap_or((data, ""));
        let directory = match scheme {
            "purelib" | "platlib" => site_packages,
            "headers" => {
                let name = &self.name;
                format!("{ENVIRONMENT}/include/site/python{major}.{minor}/{name}")
            }
            "scripts" => format!("{ENVIRONMENT}/bin"),
            "data" => ENVIRONMENT.to_owned(),
            _ => {
                return Err(LayerError::Malformed {
                    reason: "a directory in `.data` names no scheme",
                });
            }
        };
        Ok((format!("{directory}/{rest}"), scheme == "scripts"))
    }
}

struct Installation {
    tree: TreeBuilder,
    record: Record,
    layout: Layout,
    /// What the installed `RECORD` lists, by path in the tree.
    files: BTreeMap<EntryPath, (Digest, u64)>,
}

impl Installation {
    fn install(&mut self, zip: &Zip) -> Result<(), LayerError> {
        let own = format!("{}/RECORD", self.layout.dist_info);
        let mut members: Vec<&Member> = zip.members.iter().collect();
        // So that of several faults the same one is told whatever the order in the archive is.
        members.sort_by(|a, b| a.name.cmp(&b.name));
        for pair in members.windows(2) {
            if pair[0].name == pair[1].name {
                return Err(LayerError::Duplicate {
                    member: pair[0].name.clone(),
                });
            }
        }
        for member in &members {
            let file = member.name.strip_prefix(&own[..own.len() - "RECORD".len()]);
            let about_record =
                file.is_some_and(|name| name == "RECORD" || SIGNATURES.contains(&name));
            if about_record {
                continue;
            }
            if member.is_directory() {
                parse_name(&member.name)?;
                continue;
            }
            self.member(zip, member)?;
        }
        let entry_points = self.layout.metadata(zip, "entry_points.txt")?;
        for entry in entry_points::parse(&entry_points.unwrap_or_default())? {
            let path = parse_name(&format!("{ENVIRONMENT}/bin/{}", entry.name))?;
            // A file of the wheel with that name is what its author wants.
            if !self.files.contains_key(&path) {
                self.write(&path, true, entry.script(SHEBANG).as_bytes())?;
            }
        }
        self.write_metadata()
    }

    fn member(&mut self, zip: &Zip, member: &Member) -> Result<(), LayerError> {
        // Before it is placed: a name that climbs could leave its scheme and stay in the tree.
        parse_name(&member.name)?;
        let (place, is_script) = self.layout.place(&member.name)?;
        let path = parse_name(&place)?;
        let promise = self.record.promise(&member.name)?.clone();
        let broken = || LayerError::RecordMismatch {
            member: member.name.clone(),
        };
        let content = zip.read(member)?;
        if is_script {
            let mut text = Vec::new();
            let mut content = Watched::new(content, promise.second());
            content.read_to_end(&mut text)?;
            if !promise.is_kept(Digest::of(&text), content.second) {
                return Err(broken());
            }
            return self.write(&path, true, &with_shebang(text));
        }
        let mut content = Watched::new(content, promise.second());
        let mode = if member.executable { 0o755 } else { 0o644 };
        let digest = self.tree.file(&path, mode, &mut content)?;
        if !promise.is_kept(digest, content.second) {
            return Err(broken());
        }
        self.files.insert(path, (digest, member.size));
        Ok(())
    }

    fn write_metadata(&mut self) -> Result<(), LayerError> {
        let site_packages = self.layout.python.site_packages();
        let directory = format!("{site_packages}/{}", self.layout.dist_info);
        let installer = parse_name(&format!("{directory}/INSTALLER"))?;
        if !self.files.contains_key(&installer) {
            self.write(&installer, false, b"envbox\n")?;
        }
        let files = self.files.iter();
        let relative =
            files.map(|(path, listed)| (from_site_packages(path, &site_packages), *listed));
        let own = format!("{}/RECORD", self.layout.dist_info);
        let text = record::installed(&relative.collect(), &own);
        let path = parse_name(&format!("{directory}/RECORD"))?;
        self.tree.file(&path, 0o644, text.as_bytes())?;
        Ok(())
    }

    fn write(&mut self, path: &EntryPath, runs: bool, bytes: &[u8]) -> Result<(), LayerError> {
        let mode = if runs { 0o755 } else { 0o644 };
        let digest = self.tree.file(path, mode, Cursor::new(bytes))?;
        self.files
            .insert(path.clone(), (digest, bytes.len() as u64));
        Ok(())
    }
}

/// Returns a path as `RECORD` writes it: relative to the directory of modules.
fn from_site_packages(path: &EntryPath, site_packages: &str) -> String {
    match path.below(site_packages) {
        Some(below) => below.display(),
        // `lib/pythonX.Y/site-packages` is three directories deep in the environment.
        None => {
            let below = path.below(ENVIRONMENT).unwrap_or_else(|| path.clone());
            format!("../../../{}", below.display())
        }
    }
}

/// Gives a script that asks for "some Python" (`#!python`, `#!pythonw`) ours.
fn with_shebang(script: Vec<u8>) -> Vec<u8> {
    let Some(rest) = script.strip_prefix(b"#!python") else {
        return script;
    };
    let rest = rest.strip_prefix(b"w").unwrap_or(rest);
    match rest.first() {
        None | Some(b'\n' | b'\r' | b' ' | b'\t') => [SHEBANG.as_bytes(), rest].concat(),
        Some(_) => script,
    }
}

fn parse_name(name: &str) -> Result<EntryPath, LayerError> {
    let refused = |fault| LayerError::Name {
        member: name.to_owned(),
        fault,
    };
    let path = EntryPath::parse(name.as_bytes()).map_err(refused)?;
    path.ok_or_else(|| refused(crate::layers::PathFault::Empty))
}

/// Computes a digest of what is read.
struct Watched<R> {
    content: R,
    second: Second,
}

impl<R> Watched<R> {
    fn new(content: R, second: Second) -> Self {
        Self { content, second }
    }
}

impl<R: Read> Read for Watched<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let read = self.content.read(buffer)?;
        self.second.update(&buffer[..read]);
        Ok(read)
    }
}
