//! Text to [`Manifest`].

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

use jiff::Timestamp;
use jiff::civil::Date;

use crate::base::{Platform, fs};
use crate::manifest::error::{ManifestError, Problem};
use crate::manifest::requirements;
use crate::manifest::schema::{
    Debian, Environment, Interpreter, InterpreterSource, Manifest, NamedUrl, Prerelease, Python,
    PythonVersion, SandboxPolicy, StepNetwork,
};
use crate::manifest::table::{Source, Table, Value};

/// The manifest's own file name.
pub const MANIFEST: &str = "envbox.toml";
/// The file that may hold `[tool.envbox]` instead.
pub const PYPROJECT: &str = "pyproject.toml";

const TABLES: &[&str] = &["environment", "python", "debian", "sandbox"];
const PLANNED_TABLES: &[&str] = &["conda", "data", "gpu", "base"];

impl Manifest {
    /// Finds and reads the manifest of the project in `directory`; also returns its file.
    ///
    /// # Errors
    /// Returns the first thing that is wrong, with its place.
    pub fn from_project(directory: &Path) -> Result<(Self, PathBuf), ManifestError> {
        let own = directory.join(MANIFEST);
        let pyproject = directory.join(PYPROJECT);
        let in_pyproject = match pyproject.is_file() {
            true => has_table(&pyproject)?,
            false => false,
        };
        let file = match (own.is_file(), in_pyproject) {
            (true, false) => own,
            (false, true) => pyproject,
            (true, true) => return Err(ManifestError::whole(directory, Problem::Both)),
            (false, false) => return Err(ManifestError::whole(directory, Problem::Missing)),
        };
        let text = read(&file)?;
        Ok((Self::parse(&text, &file)?, file))
    }

    /// Parses the text of `file`, which is an `envbox.toml`, or a `pyproject.toml` with a
    /// `[tool.envbox]` table. Files that `requirements-from` names are read beside it.
    ///
    /// # Errors
    /// Returns the first thing that is wrong, with its place.
    pub fn parse(text: &str, file: &Path) -> Result<Self, ManifestError> {
        let source = Source { file, text };
        let document = source.parse()?;
        let root = document.get_ref();
        if file.file_name().is_some_and(|name| name == PYPROJECT) {
            let table = root
                .get("tool")
                .and_then(|tool| tool.get_ref().as_table()?.get("envbox"));
            let Some(table) = table else {
                return Err(ManifestError::whole(file, Problem::Missing));
            };
            let table = Value::new(source, table).table("[tool.envbox]", TABLES, PLANNED_TABLES)?;
            manifest(&table, true)
        } else {
            let span = document.span();
            let name = "the manifest";
            manifest(
                &Table::new(source, name, root, span, TABLES, PLANNED_TABLES)?,
                false,
            )
        }
    }
}

pub(super) fn read(file: &Path) -> Result<String, ManifestError> {
    let bytes = fs::read(file).map_err(|error| ManifestError::whole(file, error.into()))?;
    String::from_utf8(bytes).map_err(|_| ManifestError::whole(file, Problem::Encoding))
}

fn has_table(pyproject: &Path) -> Result<bool, ManifestError> {
    let text = read(pyproject)?;
    let document = Source {
        file: pyproject,
        text: &text,
    }
    .parse()?;
    let tool = document
        .get_ref()
        .get("tool")
        .and_then(|tool| tool.get_ref().as_table());
    Ok(tool.is_some_and(|tool| tool.contains_key("envbox")))
}

fn manifest(root: &Table<'_>, in_pyproject: bool) -> Result<Manifest, ManifestError> {
    let environment = environment(&root.need("environment")?)?;
    let mut python = root.map("python", python)?.unwrap_or_else(|| Python {
        no_build: true,
        ..Python::default()
    });
    let names_some = root.get("python").is_some_and(|value| {
        value.table("[python]", PYTHON, &[]).is_ok_and(|table| {
            table.get("requirements").is_some() || table.get("requirements-from").is_some()
        })
    });
    if in_pyproject && !names_some {
        requirements::from_pyproject(root.source.file, &[], &mut python)?;
    }
    if environment.python.is_none() && !python.requirements.is_empty() {
        let problem = Problem::MissingKey {
            key: "python",
            table: "[environment]",
        };
        return Err(root.need("environment")?.error(problem));
    }
    Ok(Manifest {
        environment,
        python,
        debian: root.map("debian", debian)?.unwrap_or_default(),
        sandbox: root
            .map("sandbox", sandbox)?
            .unwrap_or_else(default_sandbox),
    })
}

fn environment(value: &Value<'_>) -> Result<Environment, ManifestError> {
    let table = value.table("[environment]", &["name", "python", "platforms"], &[])?;
    let mut platforms: Vec<Platform> =
        table.list("platforms", |value| value.parse("a platform"))?;
    platforms.sort();
    platforms.dedup();
    if platforms.is_empty() {
        platforms.push(Platform::LinuxAmd64);
    }
    Ok(Environment {
        name: table.need("name")?.parse("an environment name")?,
        python: table.map("python", interpreter)?,
        platforms,
    })
}

fn interpreter(value: Value<'_>) -> Result<Interpreter, ManifestError> {
    if !value.is_table() {
        return Ok(Interpreter {
            version: python_version(value)?,
            from: None,
        });
    }
    let table = value.table("[environment] python", &["version", "from"], &[])?;
    let from = table.map("from", |value| match value.str()? {
        "conda" => Err(value.error(Problem::NotYet {
            key: "conda".into(),
            table: "[environment] python.from",
        })),
        _ => value.word::<InterpreterSource>(&["debian", "standalone"]),
    })?;
    Ok(Interpreter {
        version: python_version(table.need("version")?)?,
        from,
    })
}

fn python_version(value: Value<'_>) -> Result<PythonVersion, ManifestError> {
    const EXPECTED: &str = "a Python version like `3.11` or `3.11.9`";
    let text = value.str().map_err(|_| value.wrong_type(EXPECTED))?;
    let number = |part: &str| match part.bytes().all(|byte| byte.is_ascii_digit()) {
        true => part.parse::<u8>().ok(),
        false => None,
    };
    let parts: Option<Vec<u8>> = text.split('.').map(number).collect();
    match parts.as_deref() {
        Some([major, minor]) => Ok(PythonVersion {
            major: *major,
            minor: *minor,
            patch: None,
        }),
        Some([major, minor, patch]) => Ok(PythonVersion {
            major: *major,
            minor: *minor,
            patch: Some(*patch),
        }),
        _ => Err(value.invalid(text, EXPECTED, None)),
    }
}

const PYTHON: &[&str] = &[
    "requirements",
    "requirements-from",
    "constraints",
    "overrides",
    "exclude-newer",
    "prerelease",
    "index-url",
    "extra-index-urls",
    "find-links",
    "no-build",
];

fn python(value: Value<'_>) -> Result<Python, ManifestError> {
    let table = value.table("[python]", PYTHON, &[])?;
    let mut python = Python {
        requirements: table.list("requirements", requirements::requirement)?,
        constraints: table.list("constraints", requirements::requirement)?,
        overrides: table.list("overrides", requirements::requirement)?,
        exclude_newer: table.map("exclude-newer", cut_off)?,
        prerelease: table.map("prerelease", prerelease)?.unwrap_or_default(),
        index_url: table.map("index-url", url)?,
        extra_indexes: named_urls(&table, "extra-index-urls", "extra")?,
        find_links: named_urls(&table, "find-links", "find-links")?,
        no_build: table.map("no-build", Value::boolean)?.unwrap_or(true),
    };
    if !python.no_build {
        let problem = Problem::NotYet {
            key: "no-build = false".to_owned(),
            table: "[python]",
        };
        return Err(table.need("no-build")?.error(problem));
    }
    for file in table.list("requirements-from", Ok)? {
        requirements::from_file(file, &mut python)?;
    }
    Ok(python)
}

fn prerelease(value: Value<'_>) -> Result<Prerelease, ManifestError> {
    value.word(&[
        "disallow",
        "allow",
        "if-necessary",
        "explicit",
        "if-necessary-or-explicit",
    ])
}

/// A bare date means the start of that day in UTC, so that two time zones agree.
fn cut_off(value: Value<'_>) -> Result<Timestamp, ManifestError> {
    const EXPECTED: &str = "a time like `2026-11-01` or `2026-11-01T00:00:00Z`";
    let text = value.str().map_err(|_| value.wrong_type(EXPECTED))?;
    if let Ok(timestamp) = text.parse::<Timestamp>() {
        return Ok(timestamp);
    }
    let date: Result<Date, _> = text.parse();
    // Not `in_tz`, which reads all of the host's time zones to find this one.
    date.and_then(|date| date.to_zoned(jiff::tz::TimeZone::UTC))
        .map(|zoned| zoned.timestamp())
        .map_err(|error| value.invalid(text, EXPECTED, Some(error.to_string())))
}

fn url(value: Value<'_>) -> Result<String, ManifestError> {
    let url: url::Url = value.parse("a URL")?;
    match url.scheme() {
        "http" | "https" | "file" => Ok(url.to_string()),
        _ => Err(value.invalid(url.as_str(), "an `http`, `https` or `file` URL", None)),
    }
}

/// Reads an array of URLs, or of `{ name, url }`; a nameless one gets its place as a name.
fn named_urls(table: &Table<'_>, key: &str, prefix: &str) -> Result<Vec<NamedUrl>, ManifestError> {
    let Some(array) = table.get(key) else {
        return Ok(Vec::new());
    };
    let mut urls: Vec<NamedUrl> = Vec::new();
    for (index, value) in array.array()?.into_iter().enumerate() {
        let named = if value.is_table() {
            let table = value.table("a registry", &["name", "url"], &[])?;
            NamedUrl {
                name: table.need("name")?.parse("a registry name")?,
                url: url(table.need("url")?)?,
            }
        } else {
            let name = format!("{prefix}-{}", index + 1);
            NamedUrl {
                name: name.parse().expect("a word and a number are a name"),
                url: location(value)?,
            }
        };
        if ["pypi", "debian"].contains(&named.name.as_str())
            || urls.iter().any(|url| url.name == named.name)
        {
            return Err(value.invalid(named.name.as_str(), "a name of its own", None));
        }
        urls.push(named);
    }
    Ok(urls)
}

/// Reads a URL, or a directory beside the manifest.
fn location(value: Value<'_>) -> Result<String, ManifestError> {
    let text = value.str()?;
    if text.contains("://") {
        return url(value);
    }
    let base = value.source.file.parent().unwrap_or(Path::new(""));
    let directory = std::path::absolute(base.join(text)).unwrap_or_else(|_| base.join(text));
    url::Url::from_directory_path(&directory)
        .map(|url| url.to_string())
        .map_err(|()| value.invalid(text, "a URL or a directory", None))
}

fn debian(value: Value<'_>) -> Result<Debian, ManifestError> {
    const KEYS: &[&str] = &[
        "suite",
        "snapshot",
        "packages",
        "security",
        "mirror",
        "security-mirror",
    ];
    let table = value.table("[debian]", KEYS, &[])?;
    Ok(Debian {
        suite: table.map("suite", suite)?,
        snapshot: table.map("snapshot", snapshot)?,
        packages: table.list("packages", |value| value.parse("a Debian package name"))?,
        security: table.map("security", Value::boolean)?,
        mirror: table.map("mirror", url)?,
        security_mirror: table.map("security-mirror", url)?,
    })
}

fn suite(value: Value<'_>) -> Result<String, ManifestError> {
    let text = value.str()?;
    let valid = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    match !text.is_empty() && text.bytes().all(valid) {
        true => Ok(text.to_owned()),
        false => Err(value.invalid(text, "the name of a suite, like `bookworm`", None)),
    }
}

fn snapshot(value: Value<'_>) -> Result<String, ManifestError> {
    let text = value.str()?;
    match jiff::civil::DateTime::strptime("%Y%m%dT%H%M%SZ", text) {
        Ok(_) => Ok(text.to_owned()),
        Err(_) => Err(value.invalid(text, "a time like `20261101T000000Z`", None)),
    }
}

/// 2020-01-01T00:00:00Z: late enough for zip (1980), early enough to be in the past everywhere.
const DEFAULT_EPOCH: i64 = 1_577_836_800;

fn default_sandbox() -> SandboxPolicy {
    SandboxPolicy {
        hostname: "envbox".to_owned(),
        epoch: Timestamp::constant(DEFAULT_EPOCH, 0),
        seed: 0,
        cpus: None,
        network: StepNetwork::default(),
        outputs: Vec::new(),
        env: BTreeMap::new(),
        pass_env: Vec::new(),
    }
}

fn sandbox(value: Value<'_>) -> Result<SandboxPolicy, ManifestError> {
    const KEYS: &[&str] = &[
        "hostname", "epoch", "seed", "cpus", "network", "outputs", "env", "pass-env",
    ];
    let table = value.table("[sandbox]", KEYS, &["clock", "cpu-baseline"])?;
    let default = default_sandbox();
    Ok(SandboxPolicy {
        hostname: table.map("hostname", hostname)?.unwrap_or(default.hostname),
        epoch: table
            .map("epoch", |value| {
                value.parse("a time like `2020-01-01T00:00:00Z`")
            })?
            .unwrap_or(default.epoch),
        seed: table
            .map("seed", |value| {
                value.integer("a number from 0 to 4294967295")
            })?
            .map_or(0, u32::into),
        cpus: table.map("cpus", cpus)?,
        network: table
            .map("network", |value| value.word(&["none", "loopback", "host"]))?
            .unwrap_or_default(),
        outputs: table.list("outputs", output)?,
        env: table.map("env", variables)?.unwrap_or_default(),
        pass_env: table.list("pass-env", |value| variable_name(value, value.str()?))?,
    })
}

fn cpus(value: Value<'_>) -> Result<u32, ManifestError> {
    const EXPECTED: &str = "a number of CPUs, at least 1";
    match value.integer(EXPECTED)? {
        0 => Err(value.invalid("0", EXPECTED, None)),
        cpus => Ok(cpus),
    }
}

/// HOST_NAME_MAX of Linux.
const HOSTNAME_LIMIT: usize = 64;

fn hostname(value: Value<'_>) -> Result<String, ManifestError> {
    let text = value.str()?;
    let valid = |byte: u8| byte.is_ascii_alphanumeric() || b"-.".contains(&byte);
    match !text.is_empty() && text.len() <= HOSTNAME_LIMIT && text.bytes().all(valid) {
        true => Ok(text.to_owned()),
        false => Err(value.invalid(
            text,
            "a host name of at most 64 letters, digits, `-` and `.`",
            None,
        )),
    }
}

fn output(value: Value<'_>) -> Result<PathBuf, ManifestError> {
    let text = value.str()?;
    let path = PathBuf::from(text);
    let inside = path
        .components()
        .all(|part| matches!(part, Component::Normal(_) | Component::CurDir));
    match !text.is_empty() && inside {
        true => Ok(path),
        false => Err(value.invalid(text, "a path inside the project", None)),
    }
}

fn variables(value: Value<'_>) -> Result<BTreeMap<String, String>, ManifestError> {
    let mut variables = BTreeMap::new();
    for (name, value) in value.free_table()? {
        let text = value.str()?;
        if text.contains('\0') {
            return Err(value.invalid(text, "a value without NUL", None));
        }
        variables.insert(variable_name(value, name)?, text.to_owned());
    }
    Ok(variables)
}

fn variable_name(value: Value<'_>, name: &str) -> Result<String, ManifestError> {
    match name.is_empty() || name.contains(['=', '\0']) {
        true => Err(value.invalid(name, "the name of a variable", None)),
        false => Ok(name.to_owned()),
    }
}
