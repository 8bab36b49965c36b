//! Where the driver's user libraries are. They have to be of the kernel module's version to the
//! last digit, and hosts keep them in many places, old ones beside new ones.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::cache;
use super::candidate::{Candidate, Fate, Library, Unsound, soundness, version_of};
use super::fs::HostFs;
use super::version::DriverVersion;

/// Where to look before and beside the usual places.
#[derive(Clone, Debug, Default)]
pub struct LibraryPlaces {
    /// Directories that the user names: searched first.
    pub given: Vec<PathBuf>,
    /// The entries of the caller's `LD_LIBRARY_PATH`: searched after the linker's cache.
    pub library_path: Vec<PathBuf>,
}

/// The libraries that were found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct UserLibraries {
    /// The directories in the order of the search.
    pub searched: Vec<Searched>,
    /// All files that could be the ones, in the same order.
    pub candidates: Vec<Candidate>,
    /// The files of the kernel module's version beside the `libcuda` that is taken, by name.
    pub files: Vec<PathBuf>,
}

/// A directory that was searched.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Searched {
    /// The directory.
    pub directory: PathBuf,
    /// Why.
    pub searched_as: SearchedAs,
    /// How it went.
    #[serde(flatten)]
    pub state: SearchedState,
}

/// Why a directory is searched; in the order of the search.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum SearchedAs {
    /// The user named it.
    Given,
    /// The linker's cache has a library there.
    LinkerCache,
    /// It is in the caller's `LD_LIBRARY_PATH`.
    LibraryPath,
    /// Some distribution, installer or container keeps them there.
    Usual,
}

/// How the search of a directory went.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "state")]
pub enum SearchedState {
    /// It was searched.
    Searched,
    /// It is not there.
    Absent,
    /// It is the same as one before.
    SameAs {
        /// That one.
        other: PathBuf,
    },
    /// It cannot be read.
    Unreadable {
        /// The error number.
        errno: i32,
    },
}

const USUAL: [&str; 16] = [
    "/usr/lib/x86_64-linux-gnu",
    "/usr/lib/x86_64-linux-gnu/nvidia/current",
    "/usr/lib64",
    "/lib/x86_64-linux-gnu",
    "/lib/x86_64-linux-gnu/nvidia/current",
    "/lib64",
    "/usr/lib",
    // Machines of clouds, and Kubernetes' device plugins.
    "/usr/local/nvidia/lib64",
    "/usr/local/nvidia/lib",
    // NixOS.
    "/run/opengl-driver/lib",
    // NVIDIA's driver container.
    "/run/nvidia/driver/usr/lib/x86_64-linux-gnu",
    "/run/nvidia/driver/usr/lib64",
    // Talos.
    "/usr/local/glibc/usr/lib",
    // Google's Container-Optimized OS, on it and in its containers.
    "/var/lib/nvidia/lib64",
    "/home/kubernetes/bin/nvidia/lib64",
    "/usr/lib/wsl/lib",
];

impl UserLibraries {
    pub(super) fn find(
        fs: &HostFs,
        places: &LibraryPlaces,
        module: Option<&DriverVersion>,
    ) -> UserLibraries {
        let mut search = Search {
            fs,
            seen: BTreeMap::new(),
            candidates: Vec::new(),
        };
        let order = order(fs, places).into_iter();
        let searched = order
            .map(|(directory, searched_as)| Searched {
                state: search.directory(&directory),
                directory,
                searched_as,
            })
            .collect();
        let mut found = UserLibraries {
            searched,
            candidates: search.candidates,
            files: Vec::new(),
        };
        found.choose(module);
        found.files = found.beside(fs, module);
        found
    }

    /// Returns the file that was taken for a library.
    pub fn taken(&self, library: Library) -> Option<&Candidate> {
        let mut candidates = self.candidates.iter();
        candidates.find(|it| it.library == library && it.fate == Fate::Taken)
    }

    /// Takes the first of the module's version, and NVML from beside it if it is there.
    fn choose(&mut self, module: Option<&DriverVersion>) {
        let mut beside: Option<PathBuf> = None;
        for library in Library::ALL {
            let fits = |it: &Candidate| {
                let same = it.version.as_ref().zip(module);
                it.library == library
                    && it.fate == Fate::NoModule
                    && same.is_some_and(|(version, module)| version.is_exactly(module))
            };
            let mut fitting = self.candidates.iter().filter(|it| fits(it));
            let first = fitting.next();
            let near = first.into_iter().chain(fitting);
            let near = { near }.find(|it| Some(&it.directory) == beside.as_ref());
            let taken = near.or(first).map(|it| it.path.clone());
            for it in self
                .candidates
                .iter_mut()
                .filter(|it| it.library == library)
            {
                it.decide(module, taken.as_deref());
            }
            beside = self
                .taken(library)
                .map(|it| it.directory.clone())
                .or(beside);
        }
    }

    fn beside(&self, fs: &HostFs, module: Option<&DriverVersion>) -> Vec<PathBuf> {
        let Some((cuda, version)) = self.taken(Library::Cuda).zip(module) else {
            return Vec::new();
        };
        let end = format!(".so.{version}");
        let mut files = BTreeMap::new();
        // Links of the linker's names alone may lead here: Debian's alternatives.
        for directory in cuda
            .path
            .parent()
            .into_iter()
            .chain([cuda.directory.as_path()])
        {
            for name in fs.list(directory).unwrap_or_default() {
                let path = directory.join(&name);
                let is_driver = name.starts_with("lib") && name.ends_with(&end);
                if is_driver && soundness(fs, &path).is_ok() {
                    files.entry(name).or_insert(path);
                }
            }
        }
        files.into_values().collect()
    }
}

/// Lists the directories in the order of the search.
fn order(fs: &HostFs, places: &LibraryPlaces) -> Vec<(PathBuf, SearchedAs)> {
    let cache = fs.read(Path::new("/etc/ld.so.cache")).unwrap_or_default();
    let names = ["libcuda.so.1", "libnvidia-ml.so.1"];
    let cached = names.into_iter().flat_map(|name| cache::find(&cache, name));
    let cached = cached.filter_map(|path| path.parent().map(Path::to_owned));
    let mut order = Vec::new();
    let mut add = |directory: PathBuf, searched_as| {
        let is_new = !order.iter().any(|(known, _)| *known == directory);
        // An empty entry of LD_LIBRARY_PATH is the working directory, which no driver is in.
        if is_new && directory.is_absolute() {
            order.push((directory, searched_as));
        }
    };
    let given = places.given.iter().cloned();
    given.for_each(|it| add(it, SearchedAs::Given));
    cached.for_each(|it| add(it, SearchedAs::LinkerCache));
    let library_path = places.library_path.iter().cloned();
    library_path.for_each(|it| add(it, SearchedAs::LibraryPath));
    USUAL
        .iter()
        .for_each(|it| add(it.into(), SearchedAs::Usual));
    order
}

struct Search<'a> {
    fs: &'a HostFs,
    /// The directories and files that were met, by where they really are.
    seen: BTreeMap<PathBuf, PathBuf>,
    candidates: Vec<Candidate>,
}

impl Search<'_> {
    fn directory(&mut self, directory: &Path) -> SearchedState {
        let listed = self.fs.resolve(directory).and_then(|real| {
            let names = self.fs.list(directory)?;
            Ok((real, names))
        });
        let (real, names) = match listed {
            Ok(listed) => listed,
            Err(error) => return unsearched(&error),
        };
        if let Some(other) = self.seen.insert(real, directory.to_owned()) {
            return SearchedState::SameAs { other };
        }
        for library in Library::ALL {
            let is_it = |name: &&String| {
                let rest = name.strip_prefix(library.file_name());
                rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
            };
            for name in names.iter().filter(is_it) {
                self.file(library, directory, name);
            }
        }
        SearchedState::Searched
    }

    fn file(&mut self, library: Library, directory: &Path, name: &str) {
        let listed = directory.join(name);
        let (path, sound) = match self.fs.resolve(&listed) {
            Ok(path) => (path, soundness(self.fs, &listed)),
            Err(_) => (listed.clone(), Err(Unsound::Dangling)),
        };
        if self.seen.insert(path.clone(), listed.clone()).is_some() {
            return;
        }
        let versions = [path.as_path(), &listed].map(|path| version_of(library, path));
        let version = versions.into_iter().flatten().next();
        let is_compat = |path: &Path| path.iter().any(|part| part == "compat");
        let fate = match sound {
            Err(reason) => Fate::Unsound { reason },
            Ok(()) if is_compat(&path) || is_compat(directory) => Fate::Compatibility,
            Ok(()) if version.is_none() => Fate::NoVersion,
            // Until `choose`, which knows the module.
            Ok(()) => Fate::NoModule,
        };
        self.candidates.push(Candidate {
            library,
            directory: directory.to_owned(),
            path,
            version,
            fate,
        });
    }
}

fn unsearched(error: &io::Error) -> SearchedState {
    match error.raw_os_error().unwrap_or(libc::EIO) {
        libc::ENOENT | libc::ENOTDIR => SearchedState::Absent,
        errno => SearchedState::Unreadable { errno },
    }
}
