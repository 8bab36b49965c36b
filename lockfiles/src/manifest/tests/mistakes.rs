use crate::manifest::tests::{Project, parse, parse_all, rendered};

#[test]
fn every_mistake_has_a_place() {
    let mut shown = String::new();
    for text in [
        // Keys and tables.
        "[pyhton]\n",
        "[python]\nrequirments = [\"numpy\"]\n",
        "[python]\npackages = []\n",
        "[gpus]\n",
        "[gpu]\nvender = \"nvidia\"\n",
        "[sandbox]\ncuda = \"13\"\n",
        "[sandbox]\nclock = \"frozn\"\n",
        // Types.
        "[python]\nrequirements = \"numpy\"\n",
        "[debian]\nsecurity = \"no\"\n",
        "[sandbox]\nhostname = 1\n",
        "[[debian]]\n",
        // Requirements.
        "[python]\nrequirements = [\"numpy\", \"numpy==\"]\n",
        "[python]\nrequirements = [\"numpy\", \"numpy > = 2\"]\n",
        "[python]\nconstraints = [\"\"]\n",
        // Words.
        "[python]\nprerelease = \"alow\"\n",
        "[sandbox]\nnetwork = \"all\"\n",
        // Times.
        "[python]\nexclude-newer = \"soon\"\n",
        "[python]\nexclude-newer = 2026-11-01T00:00:00\n",
        "[sandbox]\nepoch = 0\n",
        "[sandbox]\nepoch = \"1969-12-31\"\n",
        "[sandbox]\nepoch = \"2026-02-30\"\n",
        "[debian]\nsnapshot = \"2026\"\n",
        // URLs.
        "[python]\nindex-url = \"nowhere\"\n",
        "[debian]\nmirror = \"ftp://deb.example\"\n",
        "[python]\nfind-links = [{ name = \"pypi\", url = \"wheels\" }]\n",
        "[python]\nextra-index-urls = [{ name = \"a\", url = \"https://a.example\" }]\nfind-links = [{ name = \"a\", url = \"wheels\" }]\n",
        "[python]\nextra-index-urls = [{ url = \"https://a.example\" }]\n",
        // Names, numbers and paths.
        "[debian]\nsuite = \"Bookworm!\"\n",
        "[debian]\npackages = [\"Libgomp\"]\n",
        "[sandbox]\noutputs = [\"../x\"]\n",
        "[sandbox]\ncpus = 0\n",
        "[sandbox]\nseed = -1\n",
        "[sandbox]\nenv = { \"A=B\" = \"\" }\n",
        "[sandbox]\nhostname = \"a b\"\n",
        // Images.
        "[base]\n",
        "[base]\nimage = \"registry.example/debian:12\"\n",
        "[base]\nimage = \"debian@sha256:12\"\n",
        "[base]\nimage = \"registry.example/Debian@sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\"\n",
        "[base]\nregistry = \"pypi\"\nimage = \"debian@sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\"\n",
        "[base]\nimage = \"debian@sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\"\n[debian]\nsuite = \"trixie\"\n",
        // No TOML.
        "[sandbox\n",
        "[environment]\n",
        "[sandbox]\nhostname = \"a\u{1b}[2J\"\n",
        "[sandbox]\r\nhostname = \"ä\" x\r\n",
    ] {
        let error = parse(text).expect_err(text);
        assert!(error.place.is_some(), "{text}: no place");
        shown += &format!("{}\n\n", rendered(&error));
    }
    insta::assert_snapshot!(shown, @r#"
    envbox.toml:4:2: unknown key `pyhton` in the manifest
      |
    4 | [pyhton]
      |  ^^^^^^
    hint: write `python`

    envbox.toml:5:1: unknown key `requirments` in [python]
      |
    5 | requirments = ["numpy"]
      | ^^^^^^^^^^^
    hint: write `requirements`

    envbox.toml:5:1: unknown key `packages` in [python]
      |
    5 | packages = []
      | ^^^^^^^^
    hint: move it to [debian]

    envbox.toml:4:2: unknown key `gpus` in the manifest
      |
    4 | [gpus]
      |  ^^^^
    hint: write `gpu`

    envbox.toml:5:1: unknown key `vender` in [gpu]
      |
    5 | vender = "nvidia"
      | ^^^^^^
    hint: write `vendor`

    envbox.toml:5:1: unknown key `cuda` in [sandbox]
      |
    5 | cuda = "13"
      | ^^^^
    hint: move it to [gpu]

    envbox.toml:5:9: `frozn` is not one of `frozen`, `logical`, `ticking`, `real`
      |
    5 | clock = "frozn"
      |         ^^^^^^^
    hint: write `frozen`

    envbox.toml:5:16: expected an array, found a string
      |
    5 | requirements = "numpy"
      |                ^^^^^^^
    hint: write `["numpy"]`

    envbox.toml:5:12: expected `true` or `false`, found a string
      |
    5 | security = "no"
      |            ^^^^

    envbox.toml:5:12: expected a string, found an integer
      |
    5 | hostname = 1
      |            ^
    hint: write `"1"`

    envbox.toml:4:1: expected a table, found an array
      |
    4 | [[debian]]
      | ^^^^^^^^^^

    envbox.toml:5:32: `numpy==` is not a PEP 508 requirement
      |
    5 | requirements = ["numpy", "numpy=="]
      |                                ^^
    caused by: Unexpected end of version specifier, expected version

    envbox.toml:5:33: `numpy > = 2` is not a PEP 508 requirement
      |
    5 | requirements = ["numpy", "numpy > = 2"]
      |                                 ^^^^^
    caused by: expected version to start with a number, but no leading ASCII digits were found

    envbox.toml:5:17: `` is not a PEP 508 requirement
      |
    5 | constraints = [""]
      |                 ^
    caused by: Empty field is not allowed for PEP508

    envbox.toml:5:14: `alow` is not one of `disallow`, `allow`, `if-necessary`, `explicit`, `if-necessary-or-explicit`
      |
    5 | prerelease = "alow"
      |              ^^^^^^
    hint: write `allow`

    envbox.toml:5:11: `all` is not one of `none`, `loopback`, `host`
      |
    5 | network = "all"
      |           ^^^^^

    envbox.toml:5:17: `soon` is not a date or a time like `2026-11-01T00:00:00Z`
      |
    5 | exclude-newer = "soon"
      |                 ^^^^^^
    caused by: failed to parse four digit integer as year: invalid digit, expected 0-9 but got s

    envbox.toml:5:17: `2026-11-01T00:00:00` is not a date or a time like `2026-11-01T00:00:00Z`
      |
    5 | exclude-newer = 2026-11-01T00:00:00
      |                 ^^^^^^^^^^^^^^^^^^^
    hint: add the offset from UTC: `Z` when it is UTC

    envbox.toml:5:9: expected a date or a time like `2026-11-01T00:00:00Z`, found an integer
      |
    5 | epoch = 0
      |         ^

    envbox.toml:5:9: `1969-12-31T00:00:00Z` is not a time from 1970 on, in whole seconds
      |
    5 | epoch = "1969-12-31"
      |         ^^^^^^^^^^^^

    envbox.toml:5:9: `2026-02-30` is not a date or a time like `2026-11-01T00:00:00Z`
      |
    5 | epoch = "2026-02-30"
      |         ^^^^^^^^^^^^
    caused by: parsed date is not valid: parameter 'day' for `2026-02` is invalid, must be in range `1..=28`

    envbox.toml:5:12: `2026` is not a time like `20261101T000000Z`
      |
    5 | snapshot = "2026"
      |            ^^^^^^

    envbox.toml:5:13: `nowhere` is not a URL
      |
    5 | index-url = "nowhere"
      |             ^^^^^^^^^
    caused by: relative URL without a base

    envbox.toml:5:10: `ftp://deb.example/` is not an `http`, `https` or `file` URL
      |
    5 | mirror = "ftp://deb.example"
      |          ^^^^^^^^^^^^^^^^^^^

    envbox.toml:5:15: `pypi` is not a name of its own
      |
    5 | find-links = [{ name = "pypi", url = "wheels" }]
      |               ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
    hint: give it another `name`: the lockfile tells registries apart by it

    envbox.toml:6:15: `a` is not a name of its own
      |
    6 | find-links = [{ name = "a", url = "wheels" }]
      |               ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
    hint: give it another `name`: the lockfile tells registries apart by it

    envbox.toml:5:21: a registry needs the key `name`
      |
    5 | extra-index-urls = [{ url = "https://a.example" }]
      |                     ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
    hint: add `name = …` to a registry

    envbox.toml:5:9: `Bookworm!` is not the name of a suite like `bookworm`
      |
    5 | suite = "Bookworm!"
      |         ^^^^^^^^^^^

    envbox.toml:5:13: `Libgomp` is not a valid Debian package name: at least two of `a-z0-9+-.`, beginning with a letter or digit
      |
    5 | packages = ["Libgomp"]
      |             ^^^^^^^^^

    envbox.toml:5:12: `../x` is not a path inside the project
      |
    5 | outputs = ["../x"]
      |            ^^^^^^

    envbox.toml:5:8: `0` is not a number of CPUs, at least 1
      |
    5 | cpus = 0
      |        ^

    envbox.toml:5:8: `-1` is not a number from 0 to 4294967295
      |
    5 | seed = -1
      |        ^^

    envbox.toml:5:17: `A=B` is not the name of a variable
      |
    5 | env = { "A=B" = "" }
      |                 ^^

    envbox.toml:5:12: `a b` is not a host name of at most 64 letters, digits, `-` and `.`
      |
    5 | hostname = "a b"
      |            ^^^^^

    envbox.toml:4:1: [base] needs the key `image`
      |
    4 | [base]
      | ^^^^^^
    hint: add `image = …` to [base]

    envbox.toml:5:9: `registry.example/debian:12` names an image by a tag, which may be another image tomorrow
      |
    5 | image = "registry.example/debian:12"
      |         ^^^^^^^^^^^^^^^^^^^^^^^^^^^^
    hint: add the digest: `skopeo inspect --format '{{.Digest}}' docker://IMAGE` tells it

    envbox.toml:5:17: `sha256:12` is not the digest of an image
      |
    5 | image = "debian@sha256:12"
      |                 ^^^^^^^^^
    caused by: `sha256:12` is not `sha256:` and 64 lower-case hex digits

    envbox.toml:5:9: `registry.example/Debian@sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855` is not an image like `registry.example/debian@sha256:…` or `oci:DIRECTORY@sha256:…`
      |
    5 | image = "registry.example/Debian@sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
      |         ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
    caused by: `Debian` is no name of a repository: lower-case letters and digits, parted by `.`, `_`, `-` or `/`

    envbox.toml:5:12: `pypi` is not the name of a registry of images
      |
    5 | registry = "pypi"
      |            ^^^^^^

    envbox.toml:6:1: the environment cannot stand on an image and on [debian] packages
      |
    6 | [debian]
      | ^^^^^^^^
    hint: remove one of the two tables

    envbox.toml:4:9: invalid TOML: unclosed table, expected `]`
      |
    4 | [sandbox
      |         ^

    envbox.toml:4:2: invalid TOML: duplicate key
      |
    4 | [environment]
      |  ^^^^^^^^^^^

    envbox.toml:5:14: invalid TOML: invalid basic string, expected non-double-quote visible characters, `\`
      |
    5 | hostname = "a�[2J"
      |              ^

    envbox.toml:5:16: invalid TOML: unexpected key or value, expected newline, `#`
      |
    5 | hostname = "ä" x
      |                ^
    "#);
}

#[test]
fn an_environment_that_cannot_be_is_refused() {
    let mut shown = String::new();
    for text in [
        "python = \"3.11\"",
        "name = \"a b\"",
        "name = \"a\"\npython = \"3\"",
        "name = \"a\"\npython = \">=3.11\"",
        "name = \"a\"\npython = \"3.99x\"",
        "name = \"a\"\npython = \"3.011\"",
        "name = \"a\"\npython = 3.11",
        "name = \"a\"\npython = 4",
        "name = \"a\"\npython = \"\"",
        "name = \"a\"\npython = \"3.11.2.1\"",
        "name = \"a\"\npython = { version = \"3.11\", form = \"debian\" }",
        "name = \"a\"\npython = { version = \"3.11\", from = \"conda\" }",
        "name = \"a\"\npython = { version = \"3.11\", from = \"standalne\" }",
        "name = \"a\"\nplatforms = []",
        "name = \"a\"\nplatforms = [\"windows/amd64\"]",
        "name = \"a\"\n[python]\nrequirements = [\"numpy\"]",
    ] {
        let error = parse_all(&format!("[environment]\n{text}\n")).expect_err(text);
        assert!(error.place.is_some(), "{text}: no place");
        shown += &format!("{}\n\n", rendered(&error));
    }
    insta::assert_snapshot!(shown, @r#"
    envbox.toml:1:1: [environment] needs the key `name`
      |
    1 | [environment]
      | ^^^^^^^^^^^^^
    hint: add `name = …` to [environment]

    envbox.toml:2:8: `a b` is not a valid environment name: letters, digits, `-` and `_`, beginning with a letter
      |
    2 | name = "a b"
      |        ^^^^^

    envbox.toml:3:10: `3` is not a Python version like `3.11` or `3.11.9`
      |
    3 | python = "3"
      |          ^^^
    hint: name the minor version too: another one is another Python

    envbox.toml:3:10: `>=3.11` is not a Python version like `3.11` or `3.11.9`
      |
    3 | python = ">=3.11"
      |          ^^^^^^^^
    hint: name one version: an environment has one interpreter

    envbox.toml:3:10: `3.99x` is not a Python version like `3.11` or `3.11.9`
      |
    3 | python = "3.99x"
      |          ^^^^^^^

    envbox.toml:3:10: `3.011` is not a Python version like `3.11` or `3.11.9`
      |
    3 | python = "3.011"
      |          ^^^^^^^

    envbox.toml:3:10: expected a Python version like `3.11` or `3.11.9`, found a float
      |
    3 | python = 3.11
      |          ^^^^
    hint: write `"3.11"`

    envbox.toml:3:10: expected a Python version like `3.11` or `3.11.9`, found an integer
      |
    3 | python = 4
      |          ^
    hint: write `"4"`

    envbox.toml:3:10: `` is not a Python version like `3.11` or `3.11.9`
      |
    3 | python = ""
      |          ^^

    envbox.toml:3:10: `3.11.2.1` is not a Python version like `3.11` or `3.11.9`
      |
    3 | python = "3.11.2.1"
      |          ^^^^^^^^^^

    envbox.toml:3:30: unknown key `form` in [environment] python
      |
    3 | python = { version = "3.11", form = "debian" }
      |                              ^^^^
    hint: write `from`

    envbox.toml:1:1: the Python is to come from `conda`, but there is no table `[conda]`
      |
    1 | [environment]
      | ^^^^^^^^^^^^^
    hint: add `[conda]` and its `channels`

    envbox.toml:3:37: `standalne` is not one of `debian`, `standalone`, `conda`
      |
    3 | python = { version = "3.11", from = "standalne" }
      |                                     ^^^^^^^^^^^
    hint: write `standalone`

    envbox.toml:3:13: `[]` is not a list of at least one platform
      |
    3 | platforms = []
      |             ^^

    envbox.toml:3:14: `windows/amd64` is not one of `linux/amd64`, `linux/arm64`
      |
    3 | platforms = ["windows/amd64"]
      |              ^^^^^^^^^^^^^^^

    envbox.toml:1:1: there are Python requirements, but [environment] has no `python`
      |
    1 | [environment]
      | ^^^^^^^^^^^^^
    hint: add a `python` version to [environment]
    "#);
}

#[test]
fn a_file_as_a_whole_can_be_wrong() {
    let project = Project::new(&[]);
    let mut shown = project.mistake();
    for bytes in [
        b"".as_slice(),
        b"[python]\n",
        b"[environment]\nname = \"\xff\"\n",
    ] {
        project.write("envbox.toml", bytes);
        shown += &format!("\n\n{}", project.mistake());
    }
    insta::assert_snapshot!(shown, @"
    .: there is no `envbox.toml`, and no `pyproject.toml` with a `[tool.envbox]` table
    hint: run `envbox init` to write an `envbox.toml`

    envbox.toml: the manifest has no table `[environment]`
    hint: add `[environment]` and a `name` below it

    envbox.toml: the manifest has no table `[environment]`
    hint: add `[environment]` and a `name` below it

    envbox.toml: the file is not UTF-8
    hint: save the file as UTF-8
    ");
}

#[test]
fn mistakes_in_groups_are_named() {
    let mut shown = String::new();
    for text in [
        "[groups]\ndev = [\"pytest\"]\n",
        "[groups.dev]\npackages = []\n",
        "[groups.\"a b\"]\n",
        "[groups.a_b]\n[groups.a-b]\n",
        "[groups.dev]\nrequirements = [\"a b\"]\n",
        "[base]\nimage = \"debian@sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\"\n[groups.dev]\ndebian = [\"git\"]\n",
    ] {
        shown += &rendered(&parse(text).expect_err(text));
        shown += "\n";
    }
    insta::assert_snapshot!(shown, @r#"
    envbox.toml:5:7: expected a table, found an array
      |
    5 | dev = ["pytest"]
      |       ^^^^^^^^^^
    envbox.toml:5:1: unknown key `packages` in a group
      |
    5 | packages = []
      | ^^^^^^^^
    hint: move it to [debian]
    envbox.toml:4:1: `a b` is not a valid group name: letters, digits, `-`, `_` and `.`, beginning and ending with a letter or digit
      |
    4 | [groups."a b"]
      | ^^^^^^^^^^^^^^
    envbox.toml:5:1: `a-b` is not a name of its own: `-`, `_` and `.` are the same
      |
    5 | [groups.a-b]
      | ^^^^^^^^^^^^
    envbox.toml:5:20: `a b` is not a PEP 508 requirement
      |
    5 | requirements = ["a b"]
      |                    ^
    caused by: Expected one of `@`, `(`, `<`, `=`, `>`, `~`, `!`, `;`, found `b`
    envbox.toml:7:10: the environment cannot stand on an image and on [debian] packages
      |
    7 | debian = ["git"]
      |          ^^^^^^^
    hint: remove one of the two tables
    "#);
}
