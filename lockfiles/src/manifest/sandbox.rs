//! `[sandbox]`.

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

use jiff::Timestamp;

use crate::manifest::error::ManifestError;
use crate::manifest::scalar::time;
use crate::manifest::schema::{FrameworkKnobs, SandboxPolicy};
use crate::manifest::table::{Table, Value};

/// 2020-01-01T00:00:00Z: late enough for zip (1980), early enough to be in the past everywhere.
const DEFAULT_EPOCH: Timestamp = Timestamp::constant(1_577_836_800, 0);

pub(super) fn sandbox(table: &Table<'_>) -> Result<SandboxPolicy, ManifestError> {
    let hostname = table.map("hostname", hostname)?;
    let variable = |value: Value<'_>| variable_name(value, value.str()?);
    Ok(SandboxPolicy {
        hostname: hostname.unwrap_or_else(|| "envbox".to_owned()),
        epoch: table.map("epoch", epoch)?.unwrap_or(DEFAULT_EPOCH),
        seed: table.map("seed", seed)?.map_or(0, u32::into),
        clock: table
            .map("clock", |value| {
                value.word(&["frozen", "logical", "ticking", "real"])
            })?
            .unwrap_or_default(),
        // One is the number that every host has, and at which threads cannot run a race.
        cpus: table.map("cpus", cpus)?.unwrap_or(1),
        cpu_baseline: table
            .map("cpu-baseline", |value| {
                value.word(&["x86-64-v2", "x86-64-v3", "x86-64-v4"])
            })?
            .unwrap_or_default(),
        framework_knobs: table
            .map("framework-knobs", framework_knobs)?
            .unwrap_or_default(),
        cpuid: table
            .map("cpuid", |value| value.word(&["masked", "host"]))?
            .unwrap_or_default(),
        file_status: table
            .map("file-status", |value| {
                value.word(&["times", "host", "fixed"])
            })?
            .unwrap_or_default(),
        output_times: table
            .map("output-times", |value| value.word(&["real", "epoch"]))?
            .unwrap_or_default(),
        network: table
            .map("network", |value| value.word(&["none", "loopback", "host"]))?
            .unwrap_or_default(),
        outputs: table.list("outputs", output)?,
        env: table.map("env", variables)?.unwrap_or_default(),
        pass_env: table.list("pass-env", variable)?,
    })
}

/// `SOURCE_DATE_EPOCH` is a whole number of seconds, not below zero.
fn epoch(value: Value<'_>) -> Result<Timestamp, ManifestError> {
    let epoch = time(value)?;
    match epoch >= Timestamp::UNIX_EPOCH && epoch.subsec_nanosecond() == 0 {
        true => Ok(epoch),
        false => Err(value.invalid(&epoch.to_string(), "a time from 1970 on, in whole seconds")),
    }
}

/// `PYTHONHASHSEED` takes no greater number.
fn seed(value: Value<'_>) -> Result<u32, ManifestError> {
    value.integer("a number from 0 to 4294967295")
}

fn cpus(value: Value<'_>) -> Result<u32, ManifestError> {
    const EXPECTED: &str = "a number of CPUs, at least 1";
    match value.integer(EXPECTED)? {
        0 => Err(value.invalid("0", EXPECTED)),
        cpus => Ok(cpus),
    }
}

/// The words of `framework-knobs`, as `Framework::module` spells them.
const FRAMEWORKS: [&str; 9] = [
    "cv2",
    "jax",
    "matplotlib",
    "multiprocessing",
    "pyarrow",
    "tensorflow",
    "timeit",
    "torch",
    "tqdm",
];

/// `true`, `false` or a list.
fn framework_knobs(value: Value<'_>) -> Result<FrameworkKnobs, ManifestError> {
    match value.boolean() {
        Ok(true) => return Ok(FrameworkKnobs::All),
        Ok(false) => return Ok(FrameworkKnobs::Only(Vec::new())),
        Err(_) => {}
    }
    let names = value.array()?.into_iter();
    let names = names.map(|name| name.word(&FRAMEWORKS));
    names.collect::<Result<_, _>>().map(FrameworkKnobs::Only)
}

/// `HOST_NAME_MAX` of Linux.
const HOSTNAME_LIMIT: usize = 64;

fn hostname(value: Value<'_>) -> Result<String, ManifestError> {
    let text = value.str()?;
    let valid = |byte: u8| byte.is_ascii_alphanumeric() || b"-.".contains(&byte);
    match !text.is_empty() && text.len() <= HOSTNAME_LIMIT && text.bytes().all(valid) {
        true => Ok(text.to_owned()),
        false => Err(value.invalid(
            text,
            "a host name of at most 64 letters, digits, `-` and `.`",
        )),
    }
}

fn output(value: Value<'_>) -> Result<PathBuf, ManifestError> {
    path_inside(value, value.str()?)
}

/// Returns a path below the project that stands at `value`.
pub(super) fn path_inside(value: Value<'_>, text: &str) -> Result<PathBuf, ManifestError> {
    let goes_down = |part| matches!(part, Component::Normal(_) | Component::CurDir);
    let inside = Path::new(text).components().all(goes_down);
    match !text.is_empty() && !text.contains('\0') && inside {
        true => Ok(PathBuf::from(text)),
        false => Err(value.invalid(text, "a path inside the project")),
    }
}

fn variables(value: Value<'_>) -> Result<BTreeMap<String, String>, ManifestError> {
    let mut variables = BTreeMap::new();
    for (name, value) in value.free_table()? {
        let name = variable_name(value, name)?;
        let text = value.str()?;
        if text.contains('\0') {
            return Err(value.invalid(text, "a value without NUL"));
        }
        variables.insert(name, text.to_owned());
    }
    Ok(variables)
}

fn variable_name(value: Value<'_>, name: &str) -> Result<String, ManifestError> {
    match name.is_empty() || name.contains(['=', '\0']) {
        true => Err(value.invalid(name, "the name of a variable")),
        false => Ok(name.to_owned()),
    }
}
