use std::fs;

use crate::manifest::tests::{Project, rendered};
use crate::manifest::{Manifest, init_text};

#[test]
fn init_writes_what_can_be_read() {
    let project = Project::new(&[("1 my project/notes", "")]);
    let directory = project.0.path().join("1 my project");
    let text = init_text(&directory).unwrap();
    assert!(text.contains("name = \"my-project\""), "{text}");
    project.write("1 my project/requirements.txt", "numpy\n");
    let text = init_text(&directory).unwrap();
    let expected = "requirements-from = [\"requirements.txt\"]";
    assert!(text.contains(expected), "{text}");
    project.write(
        "1 my project/pyproject.toml",
        "[project]\nname = \"x\"\nrequires-python = \">=3.12\"\ndependencies = [\"attrs\"]\n",
    );
    let text = init_text(&directory).unwrap();
    assert!(text.contains("python = \"3.13\""), "{text}");
    fs::write(directory.join("envbox.toml"), &text).unwrap();
    let (manifest, _) = Manifest::from_project(&directory).unwrap();
    assert_eq!(manifest.python.requirements, ["attrs"]);
}

#[test]
fn init_says_where_a_project_cannot_be_taken() {
    let mut shown = String::new();
    for (name, text) in [
        (
            "pyproject.toml",
            "[project]\nrequires-python = \">=3\"\ndynamic = [\"dependencies\"]\n",
        ),
        ("pyproject.toml", "[project]\nrequires-python = \"3.x\"\n"),
        ("pyproject.toml", "[project]\nrequires-python = \"<3\"\n"),
        (
            "requirements.txt",
            "--index-url https://example.org\nnumpy\n",
        ),
        ("requirements.txt", "numpy\n-r gone.txt\n"),
    ] {
        let project = Project::new(&[(name, text)]);
        let error = init_text(project.0.path()).unwrap_err();
        shown += &format!("{}\n\n", project.shorten(&rendered(&error)));
    }
    insta::assert_snapshot!(shown, @r#"
    pyproject.toml:3:12: `dependencies` are dynamic: only the build backend of the project knows them
      |
    3 | dynamic = ["dependencies"]
      |            ^^^^^^^^^^^^^^
    hint: list them in `[python] requirements`, or name their file in `requirements-from`

    pyproject.toml:2:19: `3.x` is not a PEP 440 version specifier
      |
    2 | requires-python = "3.x"
      |                   ^^^^^
    caused by: Failed to parse version: Unexpected end of version specifier, expected operator:
    3.x
    ^^^


    pyproject.toml:2:19: `<3` is not met by any Python from 3.9 to 3.14
      |
    2 | requires-python = "<3"
      |                   ^^^^

    requirements.txt:1:1: `--index-url https://example.org` cannot be taken from a requirements file
      |
    1 | --index-url https://example.org
      | ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
    hint: name it in the manifest: `index-url`, `extra-index-urls` or `find-links` of [python]

    requirements.txt:2:1: failed to read `gone.txt`
      |
    2 | -r gone.txt
      | ^^^^^^^^^^^
    caused by: No such file or directory (os error 2)
    hint: create it, or correct the path
    "#);
}
