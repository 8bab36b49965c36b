//! What is read of other tools' lockfiles.

use std::path::{Path, PathBuf};

use uv_distribution_types::PYPI_URL;

use crate::base::Explain as _;
use crate::foreign::reading::is_default_index;
use crate::foreign::{Choice, ForeignError, ForeignLock, outline, read};
use crate::resolve::{PinSource, PythonPin};

/// Real files: `fixtures/README.md` says where they are from.
pub(super) fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../fixtures/foreign")
        .join(name)
}

fn choice(extras: &[&str], groups: &[&str]) -> Choice {
    let owned = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
    Choice {
        extras: owned(extras),
        groups: owned(groups),
        ..Choice::default()
    }
}

/// A summary that shows every kind of thing that is read.
pub(super) fn shown(lock: &ForeignLock) -> String {
    let mut text = format!("{}\n", lock.format);
    text += &lock.outline.manifest("Made by a test.", "project");
    let pin = |pin: &PythonPin| {
        let source = match &pin.source {
            PinSource::Index(None) => String::new(),
            PinSource::Index(Some(url)) if is_default_index(url) => " from the default".to_owned(),
            PinSource::Index(Some(url)) => format!(" from {url}"),
            PinSource::Url(url) => format!(" at {url}"),
            PinSource::Unkept(reason) => format!(": {reason}"),
        };
        let marker = pin.marker.try_to_string();
        let marker = marker.map(|marker| format!(" ; {marker}"));
        let (name, version, files) = (&pin.name, &pin.version, pin.files.len());
        format!(
            "{name} {version}{source}, {files} files{}",
            marker.unwrap_or_default()
        )
    };
    for line in lock.pins.python.iter().map(pin) {
        text += &format!("pin {line}\n");
    }
    for pin in &lock.pins.conda {
        let digest = pin.digest.map_or("no digest", |_| "a digest");
        let size = pin.size.map_or("no size", |_| "a size");
        let (spec, file, platform) = (pin.constraint(), &pin.file, pin.platform);
        text += &format!("pin {spec}: {file} for {platform}, {size}, {digest}\n");
    }
    for left in &lock.left_out {
        text += &format!("left out: {} ({})\n", left.what, left.reason);
    }
    text
}

fn error(error: &ForeignError, directory: &Path) -> String {
    let mut report = format!("{:?} error: {error}\n", error.kind());
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        report += &format!("caused by: {}\n", cause.to_string().trim_end());
        source = cause.source();
    }
    for hint in error.hints() {
        report += &format!("hint: {hint}\n");
    }
    report.replace(&format!("{}/", directory.display()), "")
}

/// Reads a file that a test wrote, and returns its summary or its error.
pub(super) fn tried(name: &str, text: &str, choice: &Choice) -> String {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join(name);
    std::fs::write(&file, text.replace("DEFAULT", PYPI_URL.as_str())).unwrap();
    match read(&file, choice) {
        Ok(lock) => shown(&lock),
        Err(error) => self::error(&error, directory.path()),
    }
}

/// As [`tried`], for a file that need not pin anything.
pub(super) fn tried_outline(name: &str, text: &str, choice: &Choice) -> String {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join(name);
    std::fs::write(&file, text).unwrap();
    match outline(&file, choice) {
        Ok((outline, left_out)) => {
            let mut text = outline.manifest("Made by a test.", "project");
            for left in left_out {
                text += &format!("left out: {} ({})\n", left.what, left.reason);
            }
            text
        }
        Err(error) => self::error(&error, directory.path()),
    }
}

#[test]
fn the_example_of_pep_751_is_read() {
    let lock = read(&fixture("pylock.spec-example.toml"), &Choice::default()).unwrap();
    insta::assert_snapshot!(shown(&lock), @r#"
    PEP 751 lockfile
    # Made by a test.
    [environment]
    name = "project"
    python = "3.12"

    [python]
    requirements = [
        "attrs==25.1.0",
        "cattrs==24.1.2",
        "numpy==2.2.3",
    ]
    pin attrs 25.1.0, 1 files
    pin cattrs 24.1.2 from the default, 1 files
    pin numpy 2.2.3, 2 files
    "#);
}

#[test]
fn a_workspace_of_uv_is_read() {
    let lock = read(
        &fixture("mcp.uv.lock/uv.lock"),
        &choice(&["rich"], &["dev"]),
    )
    .unwrap();
    insta::assert_snapshot!("mcp", shown(&lock));
}

#[test]
fn extras_and_groups_choose_what_is_asked_for() {
    let text = r#"
version = 1
revision = 3
requires-python = ">=3.11"

[manifest]
constraints = [{ name = "limit", specifier = "<3" }]
overrides = [{ name = "forced", specifier = "==1" }]

[[package]]
name = "own"
version = "1"
source = { virtual = "." }

[package.metadata]
requires-dist = [
    { name = "always", extras = ["e"], specifier = ">=1" },
    { name = "linux-only", marker = "sys_platform == 'linux'" },
    { name = "fast", marker = "extra == 'speed'", specifier = "==2" },
    { name = "both", marker = "python_version < '3.12' and extra == 'speed'" },
    { name = "pretty", marker = "extra == 'docs'" },
    { name = "member", editable = "packages/member" },
    { name = "sources", git = "https://git.example/sources?rev=1" },
    { name = "direct", url = "https://example.org/direct-1-py3-none-any.whl" },
]
provides-extras = ["speed", "docs"]

[package.metadata.requires-dev]
test = [{ name = "pytest" }]
lint = [{ name = "ruff" }]

[[package]]
name = "member"
version = "0.1"
source = { editable = "packages/member" }

[package.metadata]
requires-dist = [{ name = "of-the-member" }]

[[package]]
name = "always"
version = "1.5"
source = { registry = "DEFAULT" }
wheels = [
    { url = "https://example.org/always-1.5-py3-none-any.whl", hash = "sha256:0101010101010101010101010101010101010101010101010101010101010101", size = 5 },
    { url = "https://example.org/always-1.5-1-py3-none-any.whl", hash = "sha512:00", size = 5 },
]

[[package]]
name = "fast"
version = "2"
source = { registry = "https://other.example/simple" }
resolution-markers = ["python_full_version >= '3.12'", "sys_platform == 'win32'"]
sdist = { url = "https://example.org/fast-2.tar.gz", hash = "sha256:00", size = 5 }

[[package]]
name = "sources"
version = "3"
source = { git = "https://git.example/sources?rev=1#0123" }

[[package]]
name = "direct"
version = "1"
source = { url = "https://example.org/direct-1-py3-none-any.whl" }
wheels = [{ url = "https://example.org/direct-1-py3-none-any.whl", hash = "sha256:0202020202020202020202020202020202020202020202020202020202020202" }]
"#;
    insta::assert_snapshot!(tried("uv.lock", text, &choice(&["speed"], &["test"])), @r#"
    uv lockfile
    # Made by a test.
    [environment]
    name = "own"
    python = "3.11"

    [python]
    requirements = [
        "always[e]>=1",
        "both ; python_full_version < '3.12'",
        "direct @ https://example.org/direct-1-py3-none-any.whl",
        "fast==2",
        "linux-only ; sys_platform == 'linux'",
        "of-the-member",
        "pytest",
        "sources @ git+https://git.example/sources?rev=1",
    ]
    constraints = ["limit<3"]
    overrides = ["forced==1"]
    extra-index-urls = ["https://other.example/simple"]
    pin always 1.5 from the default, 1 files
    pin fast 2: there is no wheel of it, 0 files ; python_full_version >= '3.12' or sys_platform == 'win32'
    pin sources 3: it comes from a repository of sources, 0 files
    pin direct 1 at https://example.org/direct-1-py3-none-any.whl, 1 files
    left out: digest of always-1.5-1-py3-none-any.whl (not SHA-256: the index's digest is taken)
    left out: extra docs (not asked for)
    left out: dependency group lint (not asked for)
    left out: member (in the project itself; what it requires is taken)
    left out: own (in the project itself; what it requires is taken)
    "#);
    let mistakes = [choice(&["sped"], &[]), choice(&[], &["tests"])];
    let mistakes = mistakes.map(|choice| tried("uv.lock", text, &choice));
    insta::assert_snapshot!(mistakes.join("\n"), @r"
    User error: `uv.lock` has no extra `sped`
    hint: use one of `docs`, `speed`

    User error: `uv.lock` has no dependency group `tests`
    hint: use one of `lint`, `test`
    ");
}

#[test]
fn extras_and_groups_of_a_pylock_are_chosen_by_markers() {
    let text = r#"
lock-version = "1.0"
extras = ["speed"]
dependency-groups = ["test", "main"]
default-groups = ["main"]
created-by = "hand"

[[packages]]
name = "always"
version = "1"
marker = "'main' in dependency_groups and sys_platform == 'linux'"
wheels = [{ name = "always-1-py3-none-any.whl", path = "wheels/always-1-py3-none-any.whl", hashes = { sha256 = "0101010101010101010101010101010101010101010101010101010101010101" } }]

[[packages]]
name = "fast"
version = "2"
marker = "'speed' in extras or 'test' in dependency_groups"
index = "https://other.example/simple/"
wheels = [{ url = "https://example.org/fast-2%2Bcpu-cp312-cp312-linux_x86_64.whl", hashes = { sha512 = "01" } }]

[[packages]]
name = "direct"
archive = { url = "https://example.org/direct-1-py3-none-any.whl", hashes = { sha256 = "0202020202020202020202020202020202020202020202020202020202020202" } }

[[packages]]
name = "sources"
vcs = { type = "git", url = "https://git.example/sources", commit-id = "0123" }

[[packages]]
name = "here"
directory = { path = "." }

[[packages]]
name = "sdist-only"
version = "3"
sdist = { name = "sdist_only-3.tar.gz", url = "https://example.org/sdist_only-3.tar.gz", hashes = { sha256 = "00" } }
"#;
    let both = [Choice::default(), choice(&["speed"], &["test"])];
    let both = both.map(|choice| tried("pylock.dev.toml", text, &choice));
    insta::assert_snapshot!(both.join("\n"), @r#"
    PEP 751 lockfile
    # Made by a test.
    [environment]
    name = "project"
    python = "3.11"

    [python]
    requirements = [
        "always==1 ; sys_platform == 'linux'",
        "direct @ https://example.org/direct-1-py3-none-any.whl",
        "sources",
        "here",
        "sdist-only==3",
    ]
    extra-index-urls = ["https://other.example/simple/"]
    pin always 1, 1 files ; sys_platform == 'linux' and 'main' in dependency_groups
    pin fast 2 from https://other.example/simple/, 0 files ; 'speed' in extras or 'test' in dependency_groups
    pin direct  at https://example.org/direct-1-py3-none-any.whl, 1 files
    pin sources : it comes from a repository of sources, 0 files
    pin here : it is a directory of the machine, 0 files
    pin sdist-only 3: there is no wheel of it, 0 files
    left out: extra speed (not asked for)
    left out: dependency group test (not asked for)
    left out: digest of fast-2+cpu-cp312-cp312-linux_x86_64.whl (not SHA-256: the index's digest is taken)

    PEP 751 lockfile
    # Made by a test.
    [environment]
    name = "project"
    python = "3.11"

    [python]
    requirements = [
        "always==1 ; sys_platform == 'linux'",
        "fast==2",
        "direct @ https://example.org/direct-1-py3-none-any.whl",
        "sources",
        "here",
        "sdist-only==3",
    ]
    extra-index-urls = ["https://other.example/simple/"]
    pin always 1, 1 files ; sys_platform == 'linux' and 'main' in dependency_groups
    pin fast 2 from https://other.example/simple/, 0 files ; 'speed' in extras or 'test' in dependency_groups
    pin direct  at https://example.org/direct-1-py3-none-any.whl, 1 files
    pin sources : it comes from a repository of sources, 0 files
    pin here : it is a directory of the machine, 0 files
    pin sdist-only 3: there is no wheel of it, 0 files
    left out: digest of fast-2+cpu-cp312-cp312-linux_x86_64.whl (not SHA-256: the index's digest is taken)
    "#);
}

#[test]
fn exact_lines_of_a_requirements_file_are_pins() {
    let text = "# comment\n\
        --only-binary :all:\n\
        always==1.5 \\\n    --hash=sha256:0101010101010101010101010101010101010101010101010101010101010101 \\\n    \
        --hash sha256:0202020202020202020202020202020202020202020202020202020202020202\n    # via other\n\
        old==1 ; python_version < '3.9' --hash=md5:00\n\
        free>=2\n\
        direct @ https://example.org/direct-1-py3-none-any.whl --hash=sha256:0303030303030303030303030303030303030303030303030303030303030303\n";
    insta::assert_snapshot!(tried("requirements.txt", text, &Choice::default()), @r#"
    requirements file
    # Made by a test.
    [environment]
    name = "project"
    python = "3.11"

    [python]
    requirements = [
        "always==1.5",
        "old==1 ; python_full_version < '3.9'",
        "free>=2",
        "direct @ https://example.org/direct-1-py3-none-any.whl",
    ]
    pin always 1.5, 2 files
    pin old 1, 0 files ; python_full_version < '3.9'
    pin direct  at https://example.org/direct-1-py3-none-any.whl, 1 files
    left out: digests of old (not SHA-256: the index's digest is taken)
    "#);
}

#[test]
fn each_bad_file_has_one_clear_error() {
    let package = |line: &str| format!("lock-version = \"1.0\"\n[[packages]]\n{line}\n");
    let cases = [
        ("uv.lock", "version = 2\n".to_owned()),
        ("uv.lock", "version = \"one\"\n".to_owned()),
        ("uv.lock", "version = 1\n[[package]\n".to_owned()),
        (
            "uv.lock",
            "version = 1\n[[package]]\nname = \"a\"\n".to_owned(),
        ),
        ("script.py.lock", "version = 3\n".to_owned()),
        ("pylock.toml", "lock-version = \"2.0\"\n".to_owned()),
        ("pylock.toml", "created-by = \"hand\"\n".to_owned()),
        ("pylock.toml", package("name = \"a b\"")),
        (
            "pylock.toml",
            package("name = \"a\"\nmarker = \"python < 3\""),
        ),
        (
            "pylock.toml",
            package("name = \"a\"\nwheels = [{ name = \"a\", hashes = { sha256 = \"xy\" } }]"),
        ),
        ("requirements.txt", "-e .\n".to_owned()),
        (
            "requirements.txt",
            "pkg @ git+https://git.example/pkg\n".to_owned(),
        ),
        ("poetry.lock", String::new()),
        ("pyproject.toml", String::new()),
        ("envbox.lock", String::new()),
        ("notes.md", String::new()),
        ("hostname", "host\n".to_owned()),
        ("requirements.txt", "numpy\n".to_owned()),
    ];
    let shown = cases.map(|(name, text)| tried(name, &text, &Choice::default()));
    insta::assert_snapshot!(shown.join("\n"), @r#"
    User error: `uv.lock` is a uv lockfile of version 2, and envbox reads version 1
    hint: update envbox, or write the file with an older version of the tool that made it

    User error: failed to read `uv.lock` as a uv lockfile
    caused by: TOML parse error at line 1, column 11
      |
    1 | version = "one"
      |           ^^^^^
    invalid type: string "one", expected u64
    hint: write it anew with the tool that made it

    User error: failed to read `uv.lock` as a uv lockfile
    caused by: TOML parse error at line 2, column 11
      |
    2 | [[package]
      |           ^
    unclosed array table, expected `]`
    hint: write it anew with the tool that made it

    User error: failed to read `uv.lock` as a uv lockfile
    caused by: TOML parse error at line 2, column 1
      |
    2 | [[package]]
      | ^^^^^^^^^^^
    missing field `source`
    hint: write it anew with the tool that made it

    User error: `script.py.lock` is a uv lockfile of version 3, and envbox reads version 1
    hint: update envbox, or write the file with an older version of the tool that made it

    User error: `pylock.toml` is a PEP 751 lockfile of version 2.0, and envbox reads version 1.0
    hint: update envbox, or write the file with an older version of the tool that made it

    User error: failed to read `pylock.toml` as a PEP 751 lockfile
    caused by: TOML parse error at line 1, column 1
      |
    1 | created-by = "hand"
      | ^
    missing field `lock-version`
    hint: write it anew with the tool that made it

    User error: `pylock.toml`: `a b` of package `a b` is not a package name
    caused by: `a b` is not a valid Python package name: letters, digits, `-`, `_` and `.`, beginning and ending with a letter or digit
    hint: write it anew with the tool that made it

    User error: `pylock.toml`: `python < 3` of package `a` is not a marker (PEP 508)
    caused by: Expected a quoted string or a valid marker name, found `python`
    python < 3
    ^^^^^^
    hint: write it anew with the tool that made it

    User error: `pylock.toml`: `xy` of package `a` is not a SHA-256 digest
    caused by: `xy` is not `sha256:` and 64 lower-case hex digits
    hint: write it anew with the tool that made it

    User error: requirements.txt:1:1: `-e .` cannot be taken from a requirements file
    hint: remove it: the project is at `/project` in the sandbox, so set `PYTHONPATH` in `[sandbox] env`

    requirements file
    # Made by a test.
    [environment]
    name = "project"
    python = "3.11"

    [python]
    requirements = ["pkg @ git+https://git.example/pkg"]
    pin pkg  at git+https://git.example/pkg, 0 files

    User error: `poetry.lock` is no file that envbox takes pins from
    hint: export it first: `poetry export`, `pdm export` and `pipenv requirements` write a requirements file

    User error: `pyproject.toml` is no file that envbox takes pins from
    hint: it pins nothing: `envbox init --from FILE` makes a manifest of it

    User error: `envbox.lock` is no file that envbox takes pins from
    hint: it is envbox's own: put it beside its manifest

    User error: `notes.md` is no file that envbox takes pins from
    hint: give `uv.lock`, `pylock.toml`, `pixi.lock`, `conda-lock.yml` or `requirements.txt`

    User error: `hostname` is no file that envbox takes pins from
    hint: give `uv.lock`, `pylock.toml`, `pixi.lock`, `conda-lock.yml` or `requirements.txt`

    User error: `requirements.txt` is no file that envbox takes pins from
    hint: it pins nothing: `envbox init --from FILE` makes a manifest of it
    "#);
    let gone = read(Path::new("/nonexistent/uv.lock"), &Choice::default()).unwrap_err();
    insta::assert_snapshot!(error(&gone, Path::new("/nonexistent")), @r"
    User error: failed to read `uv.lock`
    caused by: No such file or directory (os error 2)
    hint: correct the path
    ");
}
