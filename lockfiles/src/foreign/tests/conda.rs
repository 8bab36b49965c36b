//! What is read of conda's files.

use crate::foreign::tests::reading::{fixture, shown, tried, tried_outline};
use crate::foreign::{Choice, read};

#[test]
fn a_real_lockfile_of_pixi_is_read() {
    let lock = read(&fixture("pixi.lock"), &Choice::default()).unwrap();
    insta::assert_snapshot!("pixi", shown(&lock));
}

const CONDA_LOCK: &str = "\
version: 1
metadata:
  content_hash:
    linux-64: 3b5ad78b8bb61b6cdc0978a6a99f8dfb2cc789a451378d054698441005ecbdb6
    osx-arm64: 3b5ad78b8bb61b6cdc0978a6a99f8dfb2cc789a451378d054698441005ecbdb6
  channels:
  - url: conda-forge
    used_env_vars: []
  - url: https://lab.example/team
    used_env_vars: []
  platforms: [linux-64, osx-arm64]
  sources: [environment.yml]
package:
- name: python
  version: 3.12.1
  manager: conda
  platform: linux-64
  dependencies: {zlib: '>=1.3'}
  url: https://conda.anaconda.org/conda-forge/linux-64/python-3.12.1-h0_0_cpython.conda
  hash: {md5: 0123456789abcdef0123456789abcdef, sha256: 0101010101010101010101010101010101010101010101010101010101010101}
  category: main
  optional: false
- name: zlib
  version: '1.3'
  manager: conda
  platform: linux-64
  dependencies: {}
  url: https://lab.example/team/linux-64/zlib-1.3-h0_0.tar.bz2
  hash: {md5: 0123456789abcdef0123456789abcdef}
  category: main
  optional: false
- name: python
  version: 3.12.1
  manager: conda
  platform: osx-arm64
  dependencies: {}
  url: https://conda.anaconda.org/conda-forge/osx-arm64/python-3.12.1-h0_0_cpython.conda
  hash: {sha256: 0101010101010101010101010101010101010101010101010101010101010101}
  category: main
  optional: false
- name: pytest
  version: '8.0'
  manager: conda
  platform: linux-64
  dependencies: {python: '*'}
  url: https://conda.anaconda.org/conda-forge/noarch/pytest-8.0-pyh0_0.conda
  hash: {sha256: 0101010101010101010101010101010101010101010101010101010101010101}
  category: dev
  optional: true
- name: six
  version: 1.16.0
  manager: pip
  platform: linux-64
  dependencies: {}
  url: https://files.example/six-1.16.0-py2.py3-none-any.whl
  hash: {sha256: 0202020202020202020202020202020202020202020202020202020202020202}
  category: main
  optional: false
- name: old
  version: '1.0'
  manager: pip
  platform: linux-64
  dependencies: {}
  url: https://files.example/old-1.0.tar.gz
  hash: {sha256: 0202020202020202020202020202020202020202020202020202020202020202}
  category: main
  optional: false
";

#[test]
fn a_conda_lock_is_read() {
    let dev = Choice {
        groups: vec!["dev".to_owned()],
        ..Choice::default()
    };
    let wrong = Choice {
        groups: vec!["test".to_owned()],
        ..Choice::default()
    };
    let all = [Choice::default(), dev, wrong];
    let all = all.map(|choice| tried("conda-lock.yml", CONDA_LOCK, &choice));
    insta::assert_snapshot!(all.join("\n"), @r#"
    conda-lock lockfile
    # Made by a test.
    [environment]
    name = "project"
    platforms = ["linux/amd64"]

    [python]
    requirements = [
        "old==1.0",
        "six==1.16.0",
    ]

    [conda]
    channels = [
        "conda-forge",
        { name = "team", url = "https://lab.example/team" },
    ]
    dependencies = ["python ==3.12.1"]
    pin six 1.16.0, 1 files ; platform_machine == 'x86_64'
    pin old 1.0: there is no wheel of it, 0 files ; platform_machine == 'x86_64'
    pin python ==3.12.1: linux-64/python-3.12.1-h0_0_cpython.conda for linux/amd64, no size, a digest
    pin zlib ==1.3: linux-64/zlib-1.3-h0_0.tar.bz2 for linux/amd64, no size, no digest
    left out: category dev (not asked for)
    left out: digest of zlib (not SHA-256: the index's digest is taken)
    left out: platform osx-arm64 (no platform of envbox's)

    conda-lock lockfile
    # Made by a test.
    [environment]
    name = "project"
    platforms = ["linux/amd64"]

    [python]
    requirements = [
        "old==1.0",
        "six==1.16.0",
    ]

    [conda]
    channels = [
        "conda-forge",
        { name = "team", url = "https://lab.example/team" },
    ]
    dependencies = ["pytest ==8.0"]
    pin six 1.16.0, 1 files ; platform_machine == 'x86_64'
    pin old 1.0: there is no wheel of it, 0 files ; platform_machine == 'x86_64'
    pin python ==3.12.1: linux-64/python-3.12.1-h0_0_cpython.conda for linux/amd64, no size, a digest
    pin zlib ==1.3: linux-64/zlib-1.3-h0_0.tar.bz2 for linux/amd64, no size, no digest
    pin pytest ==8.0: noarch/pytest-8.0-pyh0_0.conda for linux/amd64, no size, a digest
    left out: digest of zlib (not SHA-256: the index's digest is taken)
    left out: platform osx-arm64 (no platform of envbox's)

    User error: `conda-lock.yml` has no category `test`
    hint: use one of `dev`, `main`
    "#);
}

#[test]
fn each_bad_file_of_conda_has_one_clear_error() {
    let newer = CONDA_LOCK.replace("version: 1\nmetadata", "version: 4\nmetadata");
    let broken = CONDA_LOCK.replace("platforms: [linux-64, osx-arm64]", "platforms: [linux-64");
    let bad_digest = CONDA_LOCK.replace("sha256: 02020202", "sha256: zz");
    let cases = [
        ("conda-lock.yml", newer.as_str(), None),
        ("conda-lock.yml", &broken, None),
        ("conda-lock.yml", &bad_digest, None),
        ("pixi.lock", "version: 1000\n", None),
        ("pixi.lock", "version: six\n", None),
        (
            "pixi.lock",
            "version: 6\nenvironments: {}\npackages: []\n",
            Some("gpu"),
        ),
        ("environment.yml", "dependencies: [numpy]\n", None),
    ];
    let shown = cases.map(|(name, text, environment)| {
        let environment = environment.map(str::to_owned);
        tried(
            name,
            text,
            &Choice {
                environment,
                ..Choice::default()
            },
        )
    });
    insta::assert_snapshot!(shown.join("\n"), @r"
    User error: `conda-lock.yml` is a conda-lock lockfile of version 4, and envbox reads version 1
    hint: update envbox, or write the file with an older version of the tool that made it

    User error: failed to read `conda-lock.yml` as a conda-lock lockfile
    caused by: illegal placement of ':' indicator at line 12, column 10 at line 11, column 14 at line 3, column 3
    hint: write it anew with the tool that made it

    User error: failed to read `conda-lock.yml` as a conda-lock lockfile
    caused by: package[4].hash.sha256: expected exactly 64 hexadecimal digits
    hint: write it anew with the tool that made it

    User error: `pixi.lock` is a pixi lockfile of version 1000, and envbox reads versions 1 to 7
    hint: update envbox, or write the file with an older version of the tool that made it

    User error: failed to read `pixi.lock` as a pixi lockfile
    caused by: `version` field in lock file is not an integer
    hint: write it anew with the tool that made it

    User error: `pixi.lock` has no environment `gpu`
    hint: leave it out: the file has no environment at all

    User error: `environment.yml` is no file that envbox takes pins from
    hint: it pins nothing: `envbox init --from FILE` makes a manifest of it
    ");
}

#[test]
fn an_environment_file_becomes_a_manifest() {
    let text = "\
name: analysis
channels: [conda-forge, nodefaults, https://lab.example/team]
dependencies:
  - python=3.11
  - numpy>=1.26,<2
  - scipy=1.11.4=py311h64a7726_0
  - conda-forge::blas
  - pip
  - pip:
      - requests==2.31  # pinned
      - -r more.txt
      - --extra-index-url https://index.example/simple
      - git+https://git.example/tool
      - tool @ git+https://git.example/tool@main
      - -e .
      - --no-deps
variables:
  OMP_NUM_THREADS: '1'
prefix: /home/me/envs/analysis
";
    let bad = [
        "dependencies: [\"numpy >\"]\n",
        "dependencies:\n  - pip:\n      - \"requests=2.31\"\n",
        "dependencies: {\n",
    ];
    let all = [text].into_iter().chain(bad);
    let all: Vec<_> = all
        .map(|text| tried_outline("environment.yml", text, &Choice::default()))
        .collect();
    insta::assert_snapshot!(all.join("\n"), @r#"
    # Made by a test.
    [environment]
    name = "analysis"

    [python]
    requirements-from = ["more.txt"]
    requirements = ["requests==2.31"]
    extra-index-urls = ["https://index.example/simple"]

    [conda]
    channels = [
        "conda-forge",
        { name = "team", url = "https://lab.example/team" },
    ]
    dependencies = [
        "python 3.11.*",
        "numpy >=1.26,<2",
        "scipy ==1.11.4 py311h64a7726_0",
        "conda-forge::blas",
    ]

    [sandbox.env]
    "OMP_NUM_THREADS" = "1"
    left out: git+https://git.example/tool (of a repository of sources: `no-build = false` takes `name @ git+URL@COMMIT`)
    left out: tool @ git+https://git.example/tool@main (of a repository of sources: `no-build = false` takes `name @ git+URL@COMMIT`)
    left out: -e . (a directory of the machine)
    left out: --no-deps (envbox has nothing like it)

    User error: failed to read `environment.yml` as a conda environment file
    caused by: dependencies[0]: unable to parse version spec: > at line 1 column 16
    hint: correct it in the file

    User error: `environment.yml`: `requests=2.31` of `pip` is not a PEP 508 requirement
    caused by: no such comparison operator "=", must be one of ~= == != <= >= < > ===
    requests=2.31
            ^^^^^
    hint: correct it in the file

    User error: failed to read `environment.yml` as a conda environment file
    caused by: dependencies: invalid type: map, expected a sequence at line 1 column 15
    hint: correct it in the file
    "#);
}

#[test]
fn a_manifest_of_pixi_becomes_one() {
    let text = r#"
[workspace]
name = "analysis"
channels = ["conda-forge", { channel = "https://lab.example/team", priority = 1 }]
platforms = ["linux-64", "linux-aarch64", "osx-arm64"]

[tasks]
train = "python train.py"

[dependencies]
python = "3.11.*"
numpy = "*"
pytorch = { version = ">=2", build = "*cuda*", channel = "conda-forge" }
local = { path = "local" }

[pypi-dependencies]
requests = "==2.31"
extra = { version = ">=1", extras = ["fast"] }
tool = { git = "https://git.example/tool" }
here = { path = ".", editable = true }

[system-requirements]
cuda = "12.4"
macos = "13"

[activation.env]
OMP_NUM_THREADS = "1"

[target.linux-64.dependencies]
only-here = "*"

[feature.test.dependencies]
pytest = "*"

[environments]
test = ["test"]
"#;
    let test = Choice {
        environment: Some("test".to_owned()),
        ..Choice::default()
    };
    let wrong = Choice {
        environment: Some("tests".to_owned()),
        ..Choice::default()
    };
    let all = [Choice::default(), test, wrong];
    let all = all.map(|choice| tried_outline("pixi.toml", text, &choice));
    insta::assert_snapshot!(all.join("\n"), @r#"
    # Made by a test.
    [environment]
    name = "analysis"
    platforms = [
        "linux/amd64",
        "linux/arm64",
    ]

    [python]
    requirements = [
        "extra[fast]>=1",
        "requests==2.31",
    ]

    [conda]
    channels = [
        "conda-forge",
        { name = "team", url = "https://lab.example/team" },
    ]
    dependencies = [
        "numpy",
        "python 3.11.*",
        "conda-forge::pytorch >=2 *cuda*",
    ]
    virtual-packages = { __cuda = "12.4" }

    [sandbox.env]
    "OMP_NUM_THREADS" = "1"
    left out: platform osx-arm64 (no platform of envbox's)
    left out: local (a file of the machine)
    left out: here (a directory of the machine)
    left out: tool (of a repository of sources: `no-build = false` takes `name @ git+URL@COMMIT`)
    left out: system requirement macos (envbox has nothing like it)
    left out: target linux-64 (envbox has nothing like it)
    left out: environment test (not asked for)
    left out: task train (envbox has nothing like it)

    # Made by a test.
    [environment]
    name = "analysis"
    platforms = [
        "linux/amd64",
        "linux/arm64",
    ]

    [python]
    requirements = [
        "extra[fast]>=1",
        "requests==2.31",
    ]

    [conda]
    channels = [
        "conda-forge",
        { name = "team", url = "https://lab.example/team" },
    ]
    dependencies = [
        "numpy",
        "python 3.11.*",
        "conda-forge::pytorch >=2 *cuda*",
        "pytest",
    ]
    virtual-packages = { __cuda = "12.4" }

    [sandbox.env]
    "OMP_NUM_THREADS" = "1"
    left out: platform osx-arm64 (no platform of envbox's)
    left out: local (a file of the machine)
    left out: here (a directory of the machine)
    left out: tool (of a repository of sources: `no-build = false` takes `name @ git+URL@COMMIT`)
    left out: system requirement macos (envbox has nothing like it)
    left out: target linux-64 (envbox has nothing like it)
    left out: task train (envbox has nothing like it)

    User error: `pixi.toml` has no environment `tests`
    hint: use one of `test`
    "#);
}
