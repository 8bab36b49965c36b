//! An interpreter that runs on this host, for environments whose own does not.
//!
//! Bytecode is made for a release of CPython, not for a processor: all numbers in it are little
//! endian and 64 bits wide at most. What `marshal` writes also depends on which strings the process
//! holds (cpython#129724), so the interpreter must be of the same release and be started as the
//! environment's own would be: from a tree without bytecode, that is, and by the same path.
//! `tests/images/platforms.rs` compares with an emulated processor.

use envbox_lockfiles::base::Context;
use envbox_sandbox::{Exit, Policy, SandboxError};

use crate::fetch::Closure;
use crate::rootfs::bytecode::CompiledBy;
use crate::rootfs::merge::Merged;
use crate::rootfs::packages::unpack_all;
use crate::rootfs::parts::Parts;
use crate::rootfs::said::said_by;
use crate::rootfs::{RootfsError, fixups, write};
use crate::store::Scratch;

/// Says which release an interpreter is.
const VERSION: &str = "import sys; print('%d.%d.%d' % sys.version_info[:3])";

/// An interpreter that runs here, with what it needs. It is gone when this value is dropped.
#[derive(Debug)]
pub struct Compiler {
    tree: Scratch,
    interpreter: String,
}

impl Compiler {
    /// Takes the interpreter of `closure`, which is for this host's platform.
    ///
    /// # Errors
    /// Returns [`RootfsError`] as `prepare` does, and [`RootfsError::OtherInterpreter`] when it is
    /// not of the version that its lock says.
    pub fn new(context: &Context, closure: &Closure) -> Result<Self, RootfsError> {
        let parts = Parts::of(closure.lock(), closure.platform())?;
        let locked = parts.interpreter.ok_or(RootfsError::NoPython)?;
        let packages = unpack_all(context, closure.store(), &parts)?;
        let mut merged = Merged::of(&packages)?;
        fixups::apply(&mut merged, &packages, &parts)?;
        let tree = closure.store().scratch()?;
        let written = write::write(&merged, &packages, tree.path())?;
        written.finish().map_err(RootfsError::Merge)?;
        let compiler = Self {
            tree,
            interpreter: locked.path.clone(),
        };
        let found = compiler.version().map_err(|source| RootfsError::Compile {
            package: "python".to_owned(),
            source,
        })?;
        match found == locked.version {
            true => Ok(compiler),
            false => Err(RootfsError::OtherInterpreter {
                interpreter: compiler.interpreter,
                expected: locked.version.clone(),
                found,
            }),
        }
    }

    /// Returns it as who compiles.
    pub(super) fn compiled_by(&self) -> CompiledBy<'_> {
        CompiledBy {
            root: self.tree.path(),
            interpreter: &self.interpreter,
        }
    }

    /// Asks the interpreter for its version; returns what it says instead, if it fails.
    fn version(&self) -> Result<String, SandboxError> {
        let policy = Policy {
            rootfs: self.tree.path().to_path_buf(),
            ..Policy::default()
        };
        let argv = [&self.interpreter, "-I", "-S", "-B", "-c", VERSION];
        let (exit, said) = said_by(policy, &argv)?;
        Ok(match exit {
            Exit::Code(0) => said,
            exit => format!("{exit:?} {said}"),
        })
    }
}
