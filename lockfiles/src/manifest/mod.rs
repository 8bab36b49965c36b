//! `envbox.toml`, and `[tool.envbox]` of `pyproject.toml`.
//!
//! Comes in: a text and the file's name. Goes out: a [`Manifest`], well-formed and with names and
//! requirements in their one spelling, or the first thing that is wrong, with its file, line and
//! column, the line itself ([`ManifestError::excerpt`]) and a remedy. Every key is in
//! `lockfiles/README.md`.
//!
//! **Invariant:** no key is ignored, and every mistake has its place
//! (`tests::mistakes::every_mistake_has_a_place`).
//! **Invariant:** what a manifest means does not depend on the environment or the time zone
//! (`tests::values::times_mean_the_same_everywhere`, `tests::files::variables_are_not_expanded`).

mod base;
mod conda;
mod data;
mod debian;
mod edit;
mod environment;
mod environment_yml;
mod error;
mod gpu;
mod groups;
mod init;
mod keys;
mod parse;
mod place;
mod pyproject;
mod python;
mod python_version;
mod requirement;
mod requirements_txt;
mod sandbox;
mod scalar;
mod schema;
mod script;
mod table;

#[cfg(test)]
mod tests;

pub(crate) use conda::match_spec_options;
pub use edit::{Added, EditError, List, ListKind, ManifestText, conda_name, python_name};
pub use error::{ManifestError, Problem};
pub use init::{environment_name, init_text, names_project};
pub use parse::{MANIFEST, PYPROJECT};
pub use place::Place;
pub use python_version::allowed_pythons;
pub use requirements_txt::{HashedRequirement, read_requirements};
pub use schema::{
    BaseImage, ChannelPriority, Conda, CondaBase, CondaChannel, CpuBaseline, Datum, Debian,
    DevicePin, DriverPin, Environment, Framework, FrameworkKnobs, Gpu, GpuVendor, Group,
    Interpreter, InterpreterSource, Manifest, NamedUrl, OutputTimes, Prerelease, Python,
    PythonVersion, SandboxPolicy, StepClock, StepCpuid, StepFileStatus, StepNetwork,
};
pub use script::{described, has_header};
