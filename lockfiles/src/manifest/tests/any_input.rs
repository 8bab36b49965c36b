use std::path::Path;

use proptest::prelude::*;

use crate::manifest::Manifest;
use crate::manifest::tests::{HEAD, Project, rendered};

/// Pieces of manifests, that come together in any order.
fn pieces() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        Just("[environment]\nname = \"iris\"\npython = ".to_owned()),
        Just("[python]\n".to_owned()),
        Just("requirements = ".to_owned()),
        Just("[\"numpy".to_owned()),
        Just("\"]\n".to_owned()),
        Just("exclude-newer = 2026-11-01".to_owned()),
        Just("[sandbox]\r\n".to_owned()),
        Just("epoch = \"".to_owned()),
        Just("seed = 0x".to_owned()),
        Just("{ name = 1 }\n".to_owned()),
        Just("\u{feff}".to_owned()),
        "\\PC{0,8}",
        any::<String>(),
    ];
    prop::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
}

/// Renders a mistake too: its place may lie anywhere in the text.
fn parse(text: &str, name: &str) {
    if let Err(error) = Manifest::parse(text, Path::new(name)) {
        rendered(&error);
    }
}

proptest! {
    #[test]
    fn no_text_breaks_the_parser(text in pieces()) {
        parse(&text, "envbox.toml");
        parse(&text, "pyproject.toml");
        parse(&format!("{HEAD}{text}"), "envbox.toml");
    }

    #[test]
    fn no_requirement_breaks_the_parser(text in "[\\PC\t]{0,24}") {
        parse(&format!("{HEAD}[python]\nrequirements = [{text:?}]\n"), "envbox.toml");
        parse(&format!("{HEAD}[python]\nrequirements = ['{text}']\n"), "envbox.toml");
    }

    #[test]
    fn no_bytes_break_a_requirements_file(
        mut bytes in prop::collection::vec(any::<u8>(), 0..64),
        line in "(-r |-c|--hash=|numpy ?|\\\\\n|#| --|\\PC|\n|é){0,12}",
    ) {
        let manifest = format!("{HEAD}[python]\nrequirements-from = [\"a.txt\"]\n");
        let project = Project::new(&[("envbox.toml", &manifest), ("a.txt", &line)]);
        drop(project.manifest().map_err(|error| rendered(&error)));
        bytes.extend(line.bytes());
        project.write("a.txt", &bytes);
        drop(project.manifest().map_err(|error| rendered(&error)));
        project.write("envbox.toml", &bytes);
        drop(project.manifest().map_err(|error| rendered(&error)));
    }
}
