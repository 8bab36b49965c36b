//! `envbox.toml`, and `[tool.envbox]` of `pyproject.toml`.
//!
//! Comes in: a text and the file's name. Goes out: a [`Manifest`], well-formed and with names and
//! requirements in their one spelling, or the first thing that is wrong with its line and column.
//!
//! **Invariant:** no key is ignored (`tests::every_mistake_has_a_place_and_a_remedy`).

mod error;
mod init;
mod parse;
mod requirements;
mod schema;
mod table;

#[cfg(test)]
mod tests;

pub use error::{ManifestError, Place, Problem};
pub use init::init_text;
pub use parse::{MANIFEST, PYPROJECT};
pub use schema::{
    Debian, Environment, Interpreter, InterpreterSource, Manifest, NamedUrl, Prerelease, Python,
    PythonVersion, SandboxPolicy, StepNetwork,
};
