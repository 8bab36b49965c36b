use crate::manifest::tests::{parse, rendered};

#[test]
fn conda_packages_are_asked_for_by_matchspecs() {
    let manifest = parse(
        r#"
        [python]
        exclude-newer = "2026-11-01"
        [conda]
        channels = ["conda-forge", { name = "lab", url = "https://lab.example/x" }, { name = "own", url = "oci://registry.example/channels/own" }, { name = "here", url = "channel" }]
        channel-priority = "flexible"
        dependencies = ["numpy  1.26.*", "lab::pytorch[version='>=2',build='cuda*']", "__glibc >=2.17"]
        constraints = ["blas <3"]
        virtual-packages = { __cuda = "12.4", __archspec = "x86_64_v4" }
        python-names = { pytorch = "torch", some-meta = [], Several = ["One", "two_2"] }
        link-scripts = ["openjdk"]
        base = "glibc"
        "#,
    )
    .unwrap();
    let conda = manifest.conda.as_ref().unwrap();
    let channels: Vec<_> = conda
        .channels
        .iter()
        .map(|channel| (channel.name.as_str(), channel.url.as_deref()))
        .collect();
    let here = std::path::absolute("channel").unwrap();
    let here = format!("file://{}/", here.display());
    assert_eq!(
        channels,
        [
            ("conda-forge", None),
            ("lab", Some("https://lab.example/x")),
            ("own", Some("oci://registry.example/channels/own")),
            ("here", Some(here.as_str())),
        ]
    );
    assert_eq!(
        conda.dependencies,
        [
            "numpy 1.26.*",
            "lab::pytorch[version='>=2',build='cuda*']",
            "__glibc >=2.17"
        ]
    );
    insta::assert_debug_snapshot!(
        (conda.channel_priority, &conda.virtual_packages, &conda.python_names, &conda.link_scripts, conda.base),
        @r#"
    (
        Flexible,
        {
            CondaName(
                "__archspec",
            ): "x86_64_v4",
            CondaName(
                "__cuda",
            ): "12.4",
        },
        {
            CondaName(
                "pytorch",
            ): [
                PythonName(
                    "torch",
                ),
            ],
            CondaName(
                "several",
            ): [
                PythonName(
                    "one",
                ),
                PythonName(
                    "two-2",
                ),
            ],
            CondaName(
                "some-meta",
            ): [],
        },
        [
            CondaName(
                "openjdk",
            ),
        ],
        Glibc,
    )
    "#
    );
}

#[test]
fn every_mistake_of_a_conda_table_has_a_place() {
    let mut shown = String::new();
    for text in [
        "",
        "channels = \"conda-forge\"",
        "chanels = [\"conda-forge\"]",
        "channels = [\"defaults\"]",
        "channels = [\"conda-forge/label/x\"]",
        "channels = [\"https://conda.example/x\"]",
        "channels = [{ name = \"own\" }]",
        "channels = [{ name = \"own\", url = \"s3://bucket/x\" }]",
        "channels = [\"x\", { name = \"x\", url = \"/srv/x\" }]",
        "channels = [\"pypi\"]",
        "channels = [\"x\"]\nchannel-priority = \"strct\"",
        "channels = [\"x\"]\ndependencies = [\"python=3.12.*\"]",
        "channels = [\"x\"]\ndependencies = [\"numpy=1.26=py312*\"]",
        "channels = [\"x\"]\ndependencies = [\"numpy >=\"]",
        "channels = [\"x\"]\ndependencies = [\"numpy[version='>=1'\"]",
        "channels = [\"x\"]\ndependencies = [\"numpy[vrsion='>=1']\"]",
        "channels = [\"x\"]\ndependencies = [\"\"]",
        "channels = [\"x\"]\nconstraints = [\"y::numpy\"]",
        "channels = [\"x\"]\nexclude-newer = \"soon\"",
        "channels = [\"x\"]\nvirtual-packages = { glibc = \"2.36\" }",
        "channels = [\"x\"]\nvirtual-packages = { __glibc = 2.36 }",
        "channels = [\"x\"]\nvirtual-packages = { __cuda = \"twelve!\" }",
        "channels = [\"x\"]\nvirtual-packages = { __archspec = \"x86-64 v3\" }",
        "channels = [\"x\"]\npython-names = { pytorch = 1 }",
        "channels = [\"x\"]\npython-names = { \"py torch\" = \"torch\" }",
        "channels = [\"x\"]\nlink-scripts = \"allow\"",
        "channels = [\"x\"]\nbase = \"ubuntu\"",
    ] {
        let error = parse(&format!("[conda]\n{text}\n")).expect_err(text);
        assert!(error.place.is_some(), "{text}: no place");
        shown += &format!("{}\n\n", rendered(&error));
    }
    insta::assert_snapshot!(shown, @r#"
    envbox.toml:4:1: [conda] needs the key `channels`
      |
    4 | [conda]
      | ^^^^^^^
    hint: add `channels = …` to [conda]

    envbox.toml:5:12: expected an array, found a string
      |
    5 | channels = "conda-forge"
      |            ^^^^^^^^^^^^^
    hint: write `["conda-forge"]`

    envbox.toml:5:1: unknown key `chanels` in [conda]
      |
    5 | chanels = ["conda-forge"]
      | ^^^^^^^
    hint: write `channels`

    envbox.toml:5:13: `defaults` is not one channel
      |
    5 | channels = ["defaults"]
      |             ^^^^^^^^^^
    hint: name each of its channels as `{ name = "…", url = "…" }`

    envbox.toml:5:13: `conda-forge/label/x` is not the name of a channel
      |
    5 | channels = ["conda-forge/label/x"]
      |             ^^^^^^^^^^^^^^^^^^^^^
    hint: write `{ name = "…", url = "…" }`: the lockfile knows it by its name

    envbox.toml:5:13: `https://conda.example/x` is not the name of a channel
      |
    5 | channels = ["https://conda.example/x"]
      |             ^^^^^^^^^^^^^^^^^^^^^^^^^
    hint: write `{ name = "…", url = "…" }`: the lockfile knows it by its name

    envbox.toml:5:13: a registry needs the key `url`
      |
    5 | channels = [{ name = "own" }]
      |             ^^^^^^^^^^^^^^^^
    hint: add `url = …` to a registry

    envbox.toml:5:35: `s3://bucket/x` is not an `http`, `https` or `file` URL
      |
    5 | channels = [{ name = "own", url = "s3://bucket/x" }]
      |                                   ^^^^^^^^^^^^^^^

    envbox.toml:5:18: `x` is not a name of its own
      |
    5 | channels = ["x", { name = "x", url = "/srv/x" }]
      |                  ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
    hint: give it another `name`: the lockfile tells registries apart by it

    envbox.toml:5:13: `pypi` is not a name of its own
      |
    5 | channels = ["pypi"]
      |             ^^^^^^
    hint: give it another `name`: the lockfile tells registries apart by it

    envbox.toml:6:20: `strct` is not one of `strict`, `flexible`, `disabled`
      |
    6 | channel-priority = "strct"
      |                    ^^^^^^^
    hint: write `strict`

    envbox.toml:6:17: `python=3.12.*` is not a package and its version like `numpy >=1.26,<2`
      |
    6 | dependencies = ["python=3.12.*"]
      |                 ^^^^^^^^^^^^^^^
    caused by: '*' is incompatible with '=' operator'
    hint: write `python 3.12.*`

    envbox.toml:6:17: `numpy=1.26=py312*` is not a package and its version like `numpy >=1.26,<2`
      |
    6 | dependencies = ["numpy=1.26=py312*"]
      |                 ^^^^^^^^^^^^^^^^^^^
    caused by: the build string '=py312*' is not valid, it can only contain alphanumeric characters and underscores
    hint: write `numpy ==1.26 py312*`

    envbox.toml:6:17: `numpy >=` is not a package and its version like `numpy >=1.26,<2`
      |
    6 | dependencies = ["numpy >="]
      |                 ^^^^^^^^^^
    caused by: unable to parse version spec: >=

    envbox.toml:6:17: `numpy[version='>=1'` is not a package and its version like `numpy >=1.26,<2`
      |
    6 | dependencies = ["numpy[version='>=1'"]
      |                 ^^^^^^^^^^^^^^^^^^^^^
    caused by: invalid package name 'numpy[version': 'numpy[version' is not a valid package name. Package names can only contain 0-9, a-z, A-Z, -, _, or .
    caused by: 'numpy[version' is not a valid package name. Package names can only contain 0-9, a-z, A-Z, -, _, or .

    envbox.toml:6:17: `numpy[vrsion='>=1']` is not a package and its version like `numpy >=1.26,<2`
      |
    6 | dependencies = ["numpy[vrsion='>=1']"]
      |                 ^^^^^^^^^^^^^^^^^^^^^
    caused by: invalid bracket key: vrsion

    envbox.toml:6:17: `` is not a package and its version like `numpy >=1.26,<2`
      |
    6 | dependencies = [""]
      |                 ^^
    caused by: missing package name

    envbox.toml:6:16: `y::numpy` names the channel `y`, which is not among `channels`
      |
    6 | constraints = ["y::numpy"]
      |                ^^^^^^^^^^
    hint: add `y` to `channels`, or leave it out

    envbox.toml:6:17: `soon` is not a date or a time like `2026-11-01T00:00:00Z`
      |
    6 | exclude-newer = "soon"
      |                 ^^^^^^
    caused by: failed to parse four digit integer as year: invalid digit, expected 0-9 but got s

    envbox.toml:6:30: `glibc` is not the name of a virtual package like `__cuda`
      |
    6 | virtual-packages = { glibc = "2.36" }
      |                              ^^^^^^

    envbox.toml:6:32: expected a version like `12.4`, found a float
      |
    6 | virtual-packages = { __glibc = 2.36 }
      |                                ^^^^
    hint: write `"2.36"`

    envbox.toml:6:31: `twelve!` is not a version like `12.4`
      |
    6 | virtual-packages = { __cuda = "twelve!" }
      |                               ^^^^^^^^^

    envbox.toml:6:35: `x86-64 v3` is not a microarchitecture like `x86_64_v3`
      |
    6 | virtual-packages = { __archspec = "x86-64 v3" }
      |                                   ^^^^^^^^^^^

    envbox.toml:6:28: expected a name or a list of names, found an integer
      |
    6 | python-names = { pytorch = 1 }
      |                            ^

    envbox.toml:6:31: `py torch` is not a valid conda package name: letters, digits, `-`, `_` and `.`, beginning with a letter, digit or `_`
      |
    6 | python-names = { "py torch" = "torch" }
      |                               ^^^^^^^

    envbox.toml:6:16: `allow` is not `refuse` or a list of packages
      |
    6 | link-scripts = "allow"
      |                ^^^^^^^

    envbox.toml:6:8: `ubuntu` is not one of `debian`, `glibc`
      |
    6 | base = "ubuntu"
      |        ^^^^^^^^
    "#);
}
