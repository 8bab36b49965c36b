//! Bytecode: what an installer would compile, and each import would compile again where nothing
//! may be written.
//!
//! Each package is compiled once for all environments with the same interpreter, by that
//! interpreter, or by one that gives the same bytes ([`crate::rootfs::compiler`]), in a sandbox
//! whose root is an environment as it is without bytecode. One process
//! does one package, its modules in order of their paths: what `marshal` writes depends on what
//! the process compiled before (cpython#129724), so that work shared out in another way would give
//! other bytes.

use std::fs::File;
use std::io::{self, Read, Seek as _, Write as _};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::thread;

use envbox_lockfiles::base::{Context, Digest};
use envbox_sandbox::{
    Bind, Exit, HostFacts, Outcome, Policy, Sandbox, SandboxError, Signals, Step,
};
use rustix::fs::MemfdFlags;

use crate::layers::{
    EntryPath, LayerError, Limits, PythonTarget, TreeBuilder, bytecode_of, module_of,
};
use crate::rootfs::RootfsError;
use crate::rootfs::merge::{Merged, Source};
use crate::rootfs::packages::{Package, package_tree};
use crate::rootfs::parallel::{Task, in_parallel};
use crate::rootfs::parts::{Contents, Parts};
use crate::store::{EntryKind, Store, TreeKey, TreeManifest};

/// The name of the stage in events.
const STAGE: &str = "compile";

/// What the interpreter does.
const PROGRAM: &str = include_str!("compile.py");

/// Where the compiling process sees the package.
const PACKAGE: &str = "/tmp/package";

/// The version of the rules by which modules are compiled. Raise it whenever bytecode of the same
/// modules and interpreter changes.
pub(super) const RULES: u32 = 1;

/// Who compiles: an interpreter, and the tree in which it is found.
#[derive(Debug, Clone, Copy)]
pub(super) struct CompiledBy<'a> {
    pub(super) root: &'a Path,
    pub(super) interpreter: &'a str,
}

/// The bytecode of one package.
pub(super) struct Bytecode {
    /// The package's index.
    package: usize,
    /// Where its tree is.
    path: PathBuf,
    manifest: TreeManifest,
}

/// What there is to compile in one package.
struct Job {
    package: usize,
    modules: Vec<EntryPath>,
    bytes: u64,
}

/// Returns the bytecode of all `packages`; what the store lacks is compiled by `by`.
pub(super) fn compile_all(
    context: &Context,
    store: &Store,
    packages: &[Package],
    parts: &Parts<'_>,
    by: CompiledBy<'_>,
) -> Result<Vec<Bytecode>, RootfsError> {
    let (Some(interpreter), Some(python)) = (parts.interpreter, parts.python) else {
        return Ok(Vec::new());
    };
    let program = interpreter.path.trim_start_matches('/').as_bytes();
    let compiler = packages
        .iter()
        .rposition(|package| package.manifest.entries.contains_key(program));
    let Some(compiler) = compiler else {
        // A link of its package: nothing says which package compiles.
        return Err(RootfsError::NoInterpreter {
            path: interpreter.path.clone(),
        });
    };
    let jobs: Vec<Job> = (0..packages.len())
        // An image's modules are for its own Python.
        .filter(|package| !matches!(packages[*package].contents, Contents::Image(_)))
        .filter_map(|package| job(package, &packages[package], python))
        .collect();
    let tasks: Vec<Task<'_>> = jobs
        .iter()
        .map(|job| Task {
            name: &packages[job.package].name,
            weight: job.bytes,
        })
        .collect();
    in_parallel(context, STAGE, &tasks, |task| {
        let job = &jobs[task];
        let package = &packages[job.package];
        let key = key(parts.parts[job.package].key, parts.parts[compiler].key);
        let (tree, manifest) = package_tree(store, key, |directory| {
            let compile = Compile {
                by,
                python,
                package,
            };
            compile.run(&job.modules, directory)
        })?;
        Ok(Bytecode {
            package: job.package,
            path: tree.path(),
            manifest,
        })
    })
}

/// Adds to `tree` the bytecode of those modules that were taken from the package it was made of.
pub(super) fn add(
    tree: &mut TreeBuilder,
    merged: &Merged,
    bytecode: &[Bytecode],
) -> Result<(), LayerError> {
    for Bytecode {
        package,
        path,
        manifest,
    } in bytecode
    {
        for (name, entry) in &manifest.entries {
            let Some(module) = module_of(name) else {
                continue;
            };
            let from = merged.nodes.get(&module).map(|node| &node.source);
            if from != Some(&Source::Package(*package))
                || tree.manifest().entries.contains_key(name)
            {
                continue;
            }
            if let Ok(Some(place)) = EntryPath::parse(name) {
                let source = path.join(std::ffi::OsStr::from_bytes(name));
                tree.share(&place, &source, entry)?;
            }
        }
    }
    Ok(())
}

fn job(index: usize, package: &Package, python: PythonTarget) -> Option<Job> {
    let directories = match package.contents {
        Contents::Conda(_) => vec![python.conda_directory()],
        _ => python.module_directories().to_vec(),
    };
    let mut job = Job {
        package: index,
        modules: Vec::new(),
        bytes: 0,
    };
    for (path, entry) in &package.manifest.entries {
        let is_module = path.ends_with(b".py")
            && directories
                .iter()
                .any(|directory| path.starts_with(directory.as_bytes()));
        let EntryKind::File { size, .. } = entry.kind else {
            continue;
        };
        let shipped = || {
            let own = bytecode_of(path, python);
            package.manifest.entries.contains_key(&own)
        };
        if is_module
            && !shipped()
            && let Ok(Some(path)) = EntryPath::parse(path)
        {
            job.modules.push(path);
            job.bytes += size;
        }
    }
    (!job.modules.is_empty()).then_some(job)
}

/// Returns where the store has the bytecode of a package.
fn key(package: TreeKey, compiler: TreeKey) -> TreeKey {
    let text = format!(
        "envbox bytecode {RULES}\n{}\n{}\n",
        package.digest(),
        compiler.digest()
    );
    TreeKey::Package(Digest::of(text.as_bytes()))
}

/// One process that compiles.
struct Compile<'a> {
    by: CompiledBy<'a>,
    python: PythonTarget,
    package: &'a Package,
}

impl Compile<'_> {
    /// Compiles `modules` into the empty `directory`.
    fn run(&self, modules: &[EntryPath], directory: &Path) -> Result<TreeManifest, RootfsError> {
        let launch = |source| self.failed(SandboxError::Launch { source });
        let mut messages = memory().map_err(launch)?;
        let (reader, writer) = io::pipe().map_err(launch)?;
        let step = Step {
            argv: ["-I", "-S", "-B", "-Wignore", "-c", PROGRAM, PACKAGE]
                .iter()
                .fold(vec![self.by.interpreter.into()], |mut argv, argument| {
                    argv.push(argument.into());
                    argv
                }),
            env: vec![("PYTHONHASHSEED".into(), "0".into())],
            signals: Signals::Leave,
            stdin: Some(list(modules).map_err(launch)?.into()),
            stdout: Some(writer.into()),
            stderr: Some(messages.try_clone().map_err(launch)?.into()),
            ..Step::default()
        };
        let (built, outcome) = thread::scope(|scope| {
            let building = scope.spawn(|| self.build(modules, reader, directory));
            let outcome = self.sandbox(step);
            (
                building.join().expect("the builder does not panic"),
                outcome,
            )
        });
        // The process is told by a closed pipe that its work cannot be written, and says but that.
        if let Err(error @ LayerError::File(_)) = built {
            return Err(RootfsError::Merge(error));
        }
        let outcome = outcome.map_err(|source| self.failed(source))?;
        if outcome.exit != Exit::Code(0) {
            let mut text = String::new();
            messages
                .rewind()
                .and_then(|()| messages.read_to_string(&mut text))
                .map_err(launch)?;
            return Err(RootfsError::Interpreter {
                interpreter: self.by.interpreter.to_owned(),
                package: self.package.name.clone(),
                message: text.trim().to_owned(),
            });
        }
        built.map_err(RootfsError::Merge)
    }

    fn sandbox(&self, step: Step) -> Result<Outcome, SandboxError> {
        let policy = Policy {
            rootfs: self.by.root.to_path_buf(),
            binds: vec![Bind {
                source: self.package.path.clone(),
                target: PACKAGE.into(),
                writable: false,
            }],
            ..Policy::default()
        };
        Sandbox::new(policy, &HostFacts::minimal())?
            .spawn(step)?
            .wait()
    }

    /// Writes what the process gives to where it belongs.
    fn build(
        &self,
        modules: &[EntryPath],
        stream: io::PipeReader,
        directory: &Path,
    ) -> Result<TreeManifest, LayerError> {
        let mut tree = TreeBuilder::new(directory, Limits::default())?;
        let mut stream = io::BufReader::new(stream);
        for module in modules {
            let mut length = [0; 4];
            stream.read_exact(&mut length)?;
            let length = u64::from(u32::from_le_bytes(length));
            let path = EntryPath::parse(&bytecode_of(module.as_bytes(), self.python));
            // A name of 250 bytes is possible for a module and not for its bytecode.
            match path {
                Ok(Some(path)) if length > 0 => {
                    tree.file(&path, 0o644, (&mut stream).take(length))?;
                }
                _ => {
                    io::copy(&mut (&mut stream).take(length), &mut io::sink())?;
                }
            }
        }
        tree.finish()
    }

    fn failed(&self, source: SandboxError) -> RootfsError {
        RootfsError::Compile {
            package: self.package.name.clone(),
            source,
        }
    }
}

/// Returns the paths, each ended by a zero byte, in a file that has no name.
fn list(modules: &[EntryPath]) -> io::Result<File> {
    let mut file = memory()?;
    for module in modules {
        file.write_all(module.as_bytes())?;
        file.write_all(b"\0")?;
    }
    file.rewind()?;
    Ok(file)
}

fn memory() -> io::Result<File> {
    let file = rustix::fs::memfd_create("envbox-compile", MemfdFlags::CLOEXEC)?;
    Ok(File::from(file))
}
