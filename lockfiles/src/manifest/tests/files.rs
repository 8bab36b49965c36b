use crate::manifest::tests::{HEAD, Project};

fn project(from: &str, files: &[(&str, &str)]) -> Project {
    let project = Project::new(files);
    let manifest = format!("{HEAD}[python]\nrequirements-from = [{from}]\n");
    project.write("envbox.toml", manifest);
    project
}

#[test]
fn requirements_come_from_files() {
    let project = project(
        r#""requirements.txt", { file = "pyproject.toml", extras = ["plot"], groups = ["dev"] }"#,
        &[
            (
                "requirements.txt",
                "numpy>=1 \\\n    --hash=sha256:00\n# comment\n-r more.txt\n-c limits.txt\n",
            ),
            ("more.txt", "pandas # of course\n"),
            ("limits.txt", "numpy<3\n"),
            (
                "pyproject.toml",
                "[project]\nname = \"x\"\ndependencies = [\"attrs\"]\n[project.optional-dependencies]\nPlot = [\"matplotlib\"]\n\
                 [dependency-groups]\ndev = [\"pytest\", {include-group = \"lint\"}]\nlint = [\"ruff\"]\n",
            ),
        ],
    );
    let python = project.manifest().unwrap().python;
    let expected = [
        "numpy>=1",
        "pandas",
        "attrs",
        "matplotlib",
        "pytest",
        "ruff",
    ];
    assert_eq!(python.requirements, expected);
    assert_eq!(python.constraints, ["numpy<3"]);
}

#[test]
fn a_requirements_file_is_read_as_pip_reads_it() {
    for (text, requirements, constraints) in [
        ("numpy\r\npandas\r\n", vec!["numpy", "pandas"], vec![]),
        ("\u{feff}numpy\n", vec!["numpy"], vec![]),
        ("  numpy  # no\n\n#pandas\n", vec!["numpy"], vec![]),
        ("num\\\npy\n", vec!["numpy"], vec![]),
        ("# no \\\nnumpy\n", vec!["numpy"], vec![]),
        (
            "numpy --hash=sha256:0 --hash=sha256:1\n",
            vec!["numpy"],
            vec![],
        ),
        ("--only-binary :all:\nnumpy\n", vec!["numpy"], vec![]),
        ("-rsub/b.txt\n", vec!["attrs"], vec!["six"]),
        ("--requirement=sub/b.txt\n", vec!["attrs"], vec!["six"]),
        ("--requirement sub/b.txt\n", vec!["attrs"], vec!["six"]),
        ("-c sub/b.txt\n", vec![], vec!["attrs", "six"]),
    ] {
        let project = project(
            r#""a.txt""#,
            &[
                ("a.txt", text),
                ("sub/b.txt", "attrs\n-c c.txt\n"),
                ("sub/c.txt", "six\n"),
            ],
        );
        let python = project.manifest().expect(text).python;
        let found = (python.requirements, python.constraints);
        let expected = |list: Vec<&str>| list.into_iter().map(str::to_owned).collect();
        assert_eq!(
            found,
            (expected(requirements), expected(constraints)),
            "{text:?}"
        );
    }
}

#[test]
fn another_tools_lock_is_no_requirements_file() {
    for (name, is_taken) in [("requirements.lock", true), ("uv.lock", false)] {
        let project = project(&format!("{name:?}"), &[(name, "numpy\n")]);
        assert_eq!(project.manifest().is_ok(), is_taken, "{name}");
    }
}

#[test]
fn variables_are_not_expanded() {
    let project = project(r#""a.txt""#, &[("a.txt", "x @ https://${HOME}/x.whl\n")]);
    insta::assert_snapshot!(project.mistake(), @"
    a.txt:1:13: `x @ https://${HOME}/x.whl` is not a requirement without variables
      |
    1 | x @ https://${HOME}/x.whl
      |             ^^^^^^^
    hint: write its value: the environment is not the same everywhere
    ");
}

#[test]
fn a_pyproject_can_hold_the_manifest() {
    let manifest = "[project]\nname = \"x\"\ndependencies = [\"attrs\"]\n[tool.envbox.environment]\nname = \"x\"\npython = \"3.13\"\n";
    let project = Project::new(&[("pyproject.toml", manifest)]);
    let (found, file) = crate::manifest::Manifest::from_project(project.0.path()).unwrap();
    assert_eq!(found.python.requirements, ["attrs"]);
    assert_eq!(file, project.0.path().join("pyproject.toml"));
    let named = format!("{manifest}[tool.envbox.python]\nrequirements = [\"six\"]\n");
    project.write("pyproject.toml", named);
    assert_eq!(project.manifest().unwrap().python.requirements, ["six"]);
    project.write("envbox.toml", HEAD);
    insta::assert_snapshot!(project.mistake(), @"
    .: the directory has both `envbox.toml` and `[tool.envbox]` in `pyproject.toml`
    hint: keep one of the two
    ");
}

#[test]
fn a_pyproject_without_a_manifest_is_none() {
    let project = Project::new(&[("pyproject.toml", "[project]\nname = \"x\"\n")]);
    insta::assert_snapshot!(project.mistake(), @"
    .: there is no `envbox.toml`, and no `pyproject.toml` with a `[tool.envbox]` table
    hint: run `envbox init` to write an `envbox.toml`
    ");
    project.write("envbox.toml", HEAD);
    assert!(project.manifest().is_ok());
}

#[test]
fn an_extra_may_name_the_project_itself() {
    let project = project(
        r#"{ file = "pyproject.toml", extras = ["all"] }"#,
        &[(
            "pyproject.toml",
            "[project]\nname = \"X_y\"\n[project.optional-dependencies]\n\
             all = [\"x-y[plot,all] ; sys_platform == 'linux'\"]\nplot = [\"matplotlib\"]\n",
        )],
    );
    let expected = ["matplotlib ; sys_platform == 'linux'"];
    assert_eq!(project.manifest().unwrap().python.requirements, expected);
}

#[test]
fn every_mistake_in_a_file_has_its_place_there() {
    let pyproject = "[project]\nname = \"x\"\nrequires-python = \">=3.12\"\n[project.optional-dependencies]\nplot = []\n";
    let loops =
        "[dependency-groups]\na = [{include-group = \"b\"}]\nb = [{include-group = \"a\"}]\n";
    let cases = [
        (r#""a.txt""#, "b.txt", ""),
        (r#""a.txt""#, "a.txt", "-r gone.txt\n"),
        (r#""a.txt""#, "a.txt", "six\n-r b.txt\n"),
        (r#""a.txt""#, "a.txt", "six\n  numpy==  # which\n"),
        (r#""a.txt""#, "a.txt", "numpy \\\n  ==\n"),
        (r#""a.txt""#, "a.txt", "--index-url https://example.org\n"),
        (r#""a.txt""#, "a.txt", "-e .\n"),
        (r#""a.txt""#, "a.txt", "-r https://example.org/a.txt\n"),
        (r#""a.txt""#, "a.txt", "numpy --config-settings=a=b\n"),
        (r#""a.txt""#, "a.txt", "--what\n"),
        (
            r#""a.txt""#,
            "a.txt",
            "x @ https://me:word@example.org/x.whl\n",
        ),
        (r#""conda-lock.yml""#, "conda-lock.yml", ""),
        (
            r#""environment.yml""#,
            "environment.yml",
            "dependencies:\n  - pip:\n    - numpy\n    - pandas>> 3\n",
        ),
        (
            r#""environment.yml""#,
            "environment.yml",
            "dependencies:\n  - pip:\n    - git+https://git.test/a/b\n",
        ),
        (r#"{ file = "a.txt", extras = ["plot"] }"#, "a.txt", ""),
        (
            r#"{ file = "pyproject.toml", extras = ["plots"] }"#,
            "pyproject.toml",
            pyproject,
        ),
        (
            r#"{ file = "pyproject.toml", groups = ["dev"] }"#,
            "pyproject.toml",
            pyproject,
        ),
        (
            r#"{ file = "pyproject.toml", groups = ["a"] }"#,
            "pyproject.toml",
            loops,
        ),
        (r#""pyproject.toml""#, "pyproject.toml", pyproject),
        (r#""pyproject.toml""#, "pyproject.toml", loops),
        (
            r#""pyproject.toml""#,
            "pyproject.toml",
            "[project]\ndynamic = [\"dependencies\"]\n",
        ),
        (
            r#""pyproject.toml""#,
            "pyproject.toml",
            "[project]\ndependencies = [\"numpy=\"]\n",
        ),
    ];
    let mut shown = String::new();
    for (from, name, text) in cases {
        let project = project(from, &[(name, text)]);
        if text.contains("b.txt") {
            project.write("b.txt", "-r ./a.txt\n");
        }
        let error = project.manifest().expect_err(text);
        assert!(error.place.is_some(), "{text}: no place");
        shown += &format!("{}\n\n", project.mistake());
    }
    insta::assert_snapshot!(shown, @r#"
    envbox.toml:5:22: failed to read `a.txt`
      |
    5 | requirements-from = ["a.txt"]
      |                      ^^^^^^^
    caused by: No such file or directory (os error 2)
    hint: create it, or correct the path

    a.txt:1:1: failed to read `gone.txt`
      |
    1 | -r gone.txt
      | ^^^^^^^^^^^
    caused by: No such file or directory (os error 2)
    hint: create it, or correct the path

    b.txt:1:1: `./a.txt` includes itself
      |
    1 | -r ./a.txt
      | ^^^^^^^^^^
    hint: remove the line

    a.txt:2:8: `numpy==` is not a PEP 508 requirement
      |
    2 |   numpy==  # which
      |        ^^
    caused by: Unexpected end of version specifier, expected version

    a.txt:1:1: `numpy   ==` is not a PEP 508 requirement
      |
    1 | numpy \
      | ^^^^^^^
    caused by: Unexpected end of version specifier, expected version

    a.txt:1:1: `--index-url https://example.org` cannot be taken from a requirements file
      |
    1 | --index-url https://example.org
      | ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
    hint: name it in the manifest: `index-url`, `extra-index-urls` or `find-links` of [python]

    a.txt:1:1: `-e .` cannot be taken from a requirements file
      |
    1 | -e .
      | ^^^^
    hint: remove it: the project is at `/project` in the sandbox, so set `PYTHONPATH` in `[sandbox] env`

    a.txt:1:1: `-r https://example.org/a.txt` cannot be taken from a requirements file
      |
    1 | -r https://example.org/a.txt
      | ^^^^^^^^^^^^^^^^^^^^^^^^^^^^
    hint: download the file and name it by its path: what a URL serves may change

    a.txt:1:1: `numpy --config-settings=a=b` cannot be taken from a requirements file
      |
    1 | numpy --config-settings=a=b
      | ^^^^^^^^^^^^^^^^^^^^^^^^^^^
    hint: remove it: wheels are taken as they are, nothing is built

    a.txt:1:1: `--what` cannot be taken from a requirements file
      |
    1 | --what
      | ^^^^^^
    hint: remove it: envbox has no such option

    a.txt:1:1: `x @ https://me:****@example.org/x.whl` has a password
    hint: remove the password: the lockfile would hold it

    envbox.toml:5:22: `conda-lock.yml` is not a `pyproject.toml`, a requirements file, an `environment.yml` or a script
      |
    5 | requirements-from = ["conda-lock.yml"]
      |                      ^^^^^^^^^^^^^^^^
    hint: take over its pins with `envbox import FILE`

    environment.yml:4:13: `pandas>> 3` is not a PEP 508 requirement
      |
    4 |       pandas>> 3
      |             ^^^^
    caused by: no such comparison operator ">>", must be one of ~= == != <= >= < > ===

    environment.yml:3:7: `git+https://git.test/a/b` is not a PEP 508 requirement
      |
    3 |       git+https://git.test/a/b
      |       ^^^^^^^^^^^^^^^^^^^^^^^^
    caused by: URL requirement must be preceded by a package name. Add the name of the package before the URL (e.g., `package_name @ https://...`).

    envbox.toml:5:50: `a.txt` is not a `pyproject.toml`: only that has extras and groups
      |
    5 | requirements-from = [{ file = "a.txt", extras = ["plot"] }]
      |                                                  ^^^^^^

    envbox.toml:5:59: `pyproject.toml` has no extra `plots`
      |
    5 | requirements-from = [{ file = "pyproject.toml", extras = ["plots"] }]
      |                                                           ^^^^^^^
    hint: write `plot`

    envbox.toml:5:59: `pyproject.toml` has no dependency group `dev`
      |
    5 | requirements-from = [{ file = "pyproject.toml", groups = ["dev"] }]
      |                                                           ^^^^^
    hint: remove it: the project has no dependency group at all

    pyproject.toml:3:23: the dependency group `a` includes itself
      |
    3 | b = [{include-group = "a"}]
      |                       ^^^
    hint: remove the line

    envbox.toml:3:10: Python 3.11 does not meet `requires-python = ">=3.12"` of `pyproject.toml`
      |
    3 | python = "3.11"
      |          ^^^^^^
    hint: choose another `python`, or change `requires-python`

    envbox.toml:5:22: `pyproject.toml` has no `[project]` table to take requirements from
      |
    5 | requirements-from = ["pyproject.toml"]
      |                      ^^^^^^^^^^^^^^^^
    hint: list the requirements in `[python] requirements`

    pyproject.toml:2:12: `dependencies` are dynamic: only the build backend of the project knows them
      |
    2 | dynamic = ["dependencies"]
      |            ^^^^^^^^^^^^^^
    hint: list them in `[python] requirements`, or name their file in `requirements-from`

    pyproject.toml:2:23: `numpy=` is not a PEP 508 requirement
      |
    2 | dependencies = ["numpy="]
      |                       ^
    caused by: no such comparison operator "=", must be one of ~= == != <= >= < > ===
    "#);
}

const CONDA: &str =
    "[conda]\nchannels = [\"conda-forge\", { name = \"lab\", url = \"https://lab.test/\" }]\n";

#[test]
fn an_environment_file_asks_conda_and_pip() {
    let text = "name: other\nchannels:\n  - conda-forge\n  - https://lab.test/\n  - nodefaults\n\
        dependencies:\n  - python=3.11\n  - lab::scipy>=1\n  - pip\n  - pip:\n    - six>=1 # old\n\
        \x20   - \"attrs\"\n    - -r more.txt\n";
    let files = [("environment.yml", text), ("more.txt", "pandas\n")];
    let project = project(r#""environment.yml""#, &files);
    let from = "[python]\nrequirements-from = [\"environment.yml\"]\n";
    project.write(
        "envbox.toml",
        format!("{HEAD}{from}{CONDA}dependencies = [\"zlib\"]\n"),
    );
    let manifest = project.manifest().unwrap();
    assert_eq!(manifest.python.requirements, ["six>=1", "attrs", "pandas"]);
    let expected = ["zlib", "python 3.11.*", "lab::scipy >=1"];
    assert_eq!(manifest.conda.unwrap().dependencies, expected);
    // In a group it is the group's.
    let group = format!("{HEAD}{CONDA}[groups.dev]\nrequirements-from = [\"environment.yml\"]\n");
    project.write("envbox.toml", group);
    let manifest = project.manifest().unwrap();
    assert!(manifest.conda.unwrap().dependencies.is_empty());
    let group = manifest.groups.values().next().unwrap();
    assert_eq!(group.conda, expected[1..]);
    assert_eq!(group.requirements, ["six>=1", "attrs", "pandas"]);
}

#[test]
fn what_an_environment_file_cannot_have_is_told() {
    let conda = "channels: [conda-forge]\ndependencies: [scipy]\n";
    let mut shown = String::new();
    for (rest, text) in [
        ("", conda),
        ("", "dependencies: {a: b}\n"),
        (CONDA, "channels: [bioconda]\ndependencies: [scipy]\n"),
        (CONDA, "dependencies: [\"bioconda::scipy\"]\n"),
        (CONDA, "dependencies:\n  - npm: [left-pad]\n"),
    ] {
        let project = project(r#""environment.yml""#, &[("environment.yml", text)]);
        let from = "[python]\nrequirements-from = [\"environment.yml\"]\n";
        project.write("envbox.toml", format!("{HEAD}{from}{rest}"));
        shown += &format!("{}\n\n", project.mistake());
    }
    insta::assert_snapshot!(shown, @r#"
    environment.yml: the file has dependencies of conda, and the manifest has no table `[conda]`
    hint: add `[conda]` and its `channels`

    environment.yml: `environment.yml` is not a conda environment file
    caused by: dependencies: invalid type: map, expected a sequence at line 1 column 15

    environment.yml: `environment.yml` names the channel `bioconda`, which is not among `channels`
    hint: add `bioconda` to `channels`, or leave it out

    environment.yml: `bioconda::scipy` names the channel `bioconda`, which is not among `channels`
    hint: add `bioconda` to `channels`, or leave it out

    environment.yml: `npm` is not a section that envbox installs: only `pip` is
    "#);
}
