use std::path::Path;

use crate::manifest::{
    Added, EditError, List, ListKind, Manifest, ManifestText, conda_name, python_name,
};

fn list(kind: ListKind, group: Option<&str>) -> List {
    List {
        kind,
        group: group.map(|name| name.parse().unwrap()),
    }
}

fn python() -> List {
    list(ListKind::Python, None)
}

fn edited(file: &str, text: &str, change: impl FnOnce(&mut ManifestText)) -> String {
    let mut manifest = ManifestText::parse(text, Path::new(file)).unwrap();
    change(&mut manifest);
    manifest.text()
}

fn added(text: &str, entries: &[&str]) -> String {
    edited("envbox.toml", text, |manifest| {
        for entry in entries {
            manifest.add(&python(), entry).unwrap();
        }
    })
}

fn removed(text: &str, names: &[&str]) -> String {
    edited("envbox.toml", text, |manifest| {
        for name in names {
            manifest.remove(&python(), name).unwrap();
        }
    })
}

/// A list with comments everywhere.
const TALL: &str = r#"# The whole.
[python] # why
requirements = [
    # For arrays.
    "numpy>=2", # not 1
    # For tables.
    "Pandas",   # the old
    # The end.
]
exclude-newer = "2026-11-01" # frozen
"#;

#[test]
fn what_is_not_changed_stays_as_it_was_written() {
    insta::assert_snapshot!(added(TALL, &["aiohttp", "polars", "zarr"]), @r#"
    # The whole.
    [python] # why
    requirements = [
        "aiohttp",
        # For arrays.
        "numpy>=2", # not 1
        # For tables.
        "Pandas",   # the old
        "polars",
        "zarr",
        # The end.
    ]
    exclude-newer = "2026-11-01" # frozen
    "#);
    insta::assert_snapshot!(removed(TALL, &["numpy"]), @r#"
    # The whole.
    [python] # why
    requirements = [
        # For arrays.
        # For tables.
        "Pandas",   # the old
        # The end.
    ]
    exclude-newer = "2026-11-01" # frozen
    "#);
    insta::assert_snapshot!(removed(TALL, &["pandas"]), @r#"
    # The whole.
    [python] # why
    requirements = [
        # For arrays.
        "numpy>=2", # not 1
        # For tables.
        # The end.
    ]
    exclude-newer = "2026-11-01" # frozen
    "#);
    insta::assert_snapshot!(removed(TALL, &["pandas", "numpy"]), @r#"
    # The whole.
    [python] # why
    requirements = [
        # For arrays.
        # For tables.
        # The end.
    ]
    exclude-newer = "2026-11-01" # frozen
    "#);
}

#[test]
fn what_was_added_can_be_removed_without_a_trace() {
    let texts = [
        TALL.to_owned(),
        TALL.replace('\n', "\r\n"),
        format!("\u{feff}{TALL}"),
        "[python]\nrequirements = [\"a\", \"z\"] # on one line\n".to_owned(),
        "[python]\nrequirements = [\n  \"z\",\n  \"a\",\n]\n".to_owned(),
        "[python]\nrequirements = [\n\t\"a\",\n\t\"z\",\n]\n".to_owned(),
        "python = { requirements = [\"numpy\"] }\n".to_owned(),
    ];
    for text in texts {
        for name in ["aa", "new", "zz"] {
            let there_and_back = removed(&added(&text, &[name]), &[name]);
            assert_eq!(there_and_back, text, "{name}");
        }
    }
}

#[test]
fn a_missing_comma_is_made_good() {
    let text = "[python]\nrequirements = [\n    \"a\" # first\n]\n";
    let expected = "[python]\nrequirements = [\n    \"a\", # first\n    \"b\",\n]\n";
    assert_eq!(added(text, &["b"]), expected);
}

#[test]
fn a_sorted_list_stays_sorted_and_another_is_continued() {
    for (before, after) in [
        (r#"["a", "c"]"#, r#"["a", "b", "c"]"#),
        (r#"["c", "a"]"#, r#"["c", "a", "b"]"#),
        (r#"["B_x>1", "C"]"#, r#"["b", "B_x>1", "C"]"#),
        ("[]", r#"["b"]"#),
    ] {
        let text = |list: &str| format!("[python]\nrequirements = {list}\n");
        assert_eq!(added(&text(before), &["b"]), text(after), "{before}");
    }
}

#[test]
fn tables_are_made_where_there_are_none() {
    let text = "[environment]\nname = \"x\"\n\n[sandbox]\nseed = 1\n";
    insta::assert_snapshot!(edited("envbox.toml", text, |manifest| {
        manifest.add(&python(), "numpy").unwrap();
        manifest.add(&list(ListKind::Debian, None), "git").unwrap();
        let group = list(ListKind::Python, Some("Dev_Tools"));
        manifest.add(&group, "pytest").unwrap();
        let group = list(ListKind::Debian, Some("dev-tools"));
        manifest.add(&group, "gdb").unwrap();
    }), @r#"
    [environment]
    name = "x"

    [sandbox]
    seed = 1

    [python]
    requirements = ["numpy"]

    [debian]
    packages = ["git"]

    [groups.dev-tools]
    requirements = ["pytest"]
    debian = ["gdb"]
    "#);
}

#[test]
fn requirements_of_a_project_go_where_its_other_tools_read_them() {
    let project = "[project]\nname = \"p\"\ndependencies = [\"a\"]\n\n\
        [tool.envbox.environment]\nname = \"p\"\npython = \"3.11\"\n";
    let add = |text: &str, list: List| {
        edited("pyproject.toml", text, |manifest| {
            manifest.add(&list, "b").map(drop).unwrap_or_else(|_| {
                manifest.add(&list, "gdb").unwrap();
            });
        })
    };
    insta::assert_snapshot!(add(project, python()), @r#"
    [project]
    name = "p"
    dependencies = ["a", "b"]

    [tool.envbox.environment]
    name = "p"
    python = "3.11"
    "#);
    insta::assert_snapshot!(add(project, list(ListKind::Debian, None)), @r#"
    [project]
    name = "p"
    dependencies = ["a"]

    [tool.envbox.environment]
    name = "p"
    python = "3.11"

    [tool.envbox.debian]
    packages = ["gdb"]
    "#);
    insta::assert_snapshot!(add(project, list(ListKind::Python, Some("dev"))), @r#"
    [project]
    name = "p"
    dependencies = ["a"]

    [tool.envbox.environment]
    name = "p"
    python = "3.11"

    [tool.envbox.groups.dev]
    requirements = ["b"]
    "#);
    let own = format!("{project}\n[tool.envbox.python]\nrequirements-from = [\"r.txt\"]\n");
    insta::assert_snapshot!(add(&own, python()), @r#"
    [project]
    name = "p"
    dependencies = ["a"]

    [tool.envbox.environment]
    name = "p"
    python = "3.11"

    [tool.envbox.python]
    requirements-from = ["r.txt"]
    requirements = ["b"]
    "#);
}

#[test]
fn one_of_the_same_name_is_replaced_unless_only_the_name_is_said() {
    let text = "[python]\nrequirements = [\"Num_Py >=1\", \"z\"]\n";
    let mut manifest = ManifestText::parse(text, Path::new("envbox.toml")).unwrap();
    let kept = manifest.add(&python(), "num-py").unwrap();
    assert_eq!(kept, Added::AlreadyThere("Num_Py >=1".to_owned()));
    assert_eq!(manifest.text(), text);
    let other = manifest.add(&python(), "num.py < 3").unwrap();
    assert_eq!(other, Added::Instead("num-py<3".to_owned()));
    assert_eq!(manifest.text(), text.replace("Num_Py >=1", "num-py<3"));
}

#[test]
fn what_cannot_be_changed_is_said() {
    let text = "[python]\nrequirements = [\"a; python_version<'3'\", \"a\"]\n\
        [debian]\npackages = [\"git\"]\n[groups.dev]\nrequirements = [\"pytest\"]\n";
    let mut manifest = ManifestText::parse(text, Path::new("envbox.toml")).unwrap();
    let several = manifest.add(&python(), "a>1").unwrap_err();
    assert!(matches!(several, EditError::Several { .. }), "{several}");
    for entry in ["a b", "", "https://example.org/a.whl", "-r x.txt"] {
        let error = manifest.add(&python(), entry).unwrap_err();
        assert!(matches!(error, EditError::Entry { .. }), "{entry}: {error}");
    }
    for (name, options) in [
        ("git", Some("--debian")),
        ("PyTest", Some("--group dev")),
        ("nothing", None),
    ] {
        match manifest.remove(&python(), name).unwrap_err() {
            EditError::Absent { option, .. } => assert_eq!(option.as_deref(), options, "{name}"),
            other => panic!("{name}: {other}"),
        }
    }
    assert_eq!(manifest.text(), text);
    let odd = "[python]\nrequirements = \"a\"\n";
    let mut manifest = ManifestText::parse(odd, Path::new("envbox.toml")).unwrap();
    let error = manifest.add(&python(), "b").unwrap_err();
    assert_eq!(error.to_string(), "`[python] requirements` is no list");
    assert!(ManifestText::parse("[python", Path::new("envbox.toml")).is_err());
}

#[test]
fn a_lower_bound_is_the_lowest_version_without_its_local_part() {
    for (entry, versions, expected) in [
        ("numpy", &["2.1.3"][..], "numpy>=2.1.3"),
        ("numpy", &["2.10", "2.9.1"], "numpy>=2.9.1"),
        ("torch", &["2.9.0+cpu"], "torch>=2.9.0"),
        ("a[x]", &["1"], "a[x]>=1"),
        (
            "a ; sys_platform == 'linux'",
            &["1"],
            "a>=1 ; sys_platform == 'linux'",
        ),
        ("a<2", &["1"], "a<2"),
        (
            "a @ https://example.org/a-1-py3-none-any.whl",
            &["1"],
            "a @ https://example.org/a-1-py3-none-any.whl",
        ),
        ("a", &[], "a"),
    ] {
        assert_eq!(ListKind::Python.with_lower_bound(entry, versions), expected);
    }
    for (entry, versions, expected) in [
        ("numpy", &["2.10", "2.9.1"][..], "numpy >=2.9.1"),
        ("conda-forge::numpy", &["2"], "conda-forge::numpy >=2"),
        ("numpy <3", &["2"], "numpy <3"),
        ("numpy[build='*mkl*']", &["2"], "numpy[build='*mkl*']"),
        ("numpy", &[], "numpy"),
    ] {
        assert_eq!(ListKind::Conda.with_lower_bound(entry, versions), expected);
    }
    assert_eq!(ListKind::Debian.with_lower_bound("git", &["2"]), "git");
}

#[test]
fn a_requirement_begins_with_its_name() {
    for (text, name) in [
        ("A_b.c>=1", Some("a-b-c")),
        ("a[x]", Some("a")),
        ("a@https://example.org", Some("a")),
        ("", None),
        ("-r x", None),
    ] {
        let found = python_name(text);
        assert_eq!(found.as_ref().map(|name| name.as_str()), name, "{text}");
    }
}

#[test]
fn a_match_spec_begins_with_its_channel_and_name() {
    for (text, name) in [
        ("NumPy >=1", Some("numpy")),
        ("conda-forge::python-dateutil", Some("python-dateutil")),
        ("pytorch[build='cuda*']", Some("pytorch")),
        ("numpy=1.26", Some("numpy")),
        ("_libgcc_mutex", Some("_libgcc_mutex")),
        ("", None),
    ] {
        let found = conda_name(text);
        assert_eq!(found.as_ref().map(|name| name.as_str()), name, "{text}");
    }
}

#[test]
fn an_edited_manifest_means_what_was_asked_for() {
    let text = "[environment]\nname = \"x\"\npython = \"3.11\"\n";
    let text = edited("envbox.toml", text, |manifest| {
        manifest.add(&python(), "numpy >= 2").unwrap();
        manifest.add(&list(ListKind::Debian, None), "git").unwrap();
    });
    let manifest = Manifest::parse(&text, Path::new("envbox.toml")).unwrap();
    assert_eq!(manifest.python.requirements, ["numpy>=2"]);
    assert_eq!(manifest.debian.packages, ["git".parse().unwrap()]);
}
