//! `envbox.toml`, and `[tool.envbox]` of `pyproject.toml`.

mod schema;

pub use schema::{
    Debian, Environment, Interpreter, InterpreterSource, Manifest, NamedUrl, Prerelease, Python,
    PythonVersion, SandboxPolicy, StepNetwork,
};
