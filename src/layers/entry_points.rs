//! Programs that a package of Python's asks for: a wheel in `entry_points.txt`, conda's in its
//! `link.json`.

use crate::layers::LayerError;

/// A program that calls a function.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct EntryPoint {
    /// The program's name.
    pub(super) name: String,
    module: String,
    /// The function: attributes parted by dots.
    attribute: String,
}

/// Returns the programs, sorted by name. Of two with one name the last in the file is taken, as
/// Python's reader does.
pub(super) fn parse(text: &str) -> Result<Vec<EntryPoint>, LayerError> {
    let mut lines = Vec::new();
    let mut in_scripts = false;
    for line in text.lines().map(str::trim) {
        if line.is_empty() || line.starts_with(['#', ';']) {
            continue;
        }
        if let Some(section) = line.strip_prefix('[') {
            let section = section.trim_end_matches(']');
            in_scripts = matches!(section, "console_scripts" | "gui_scripts");
        } else if in_scripts {
            lines.push(line);
        }
    }
    sorted(lines.into_iter())
}

/// Returns the programs that these lines ask for, sorted by name. Of two with one name the last is
/// taken.
pub(super) fn sorted<'a>(
    lines: impl Iterator<Item = &'a str>,
) -> Result<Vec<EntryPoint>, LayerError> {
    let mut found: Vec<EntryPoint> = Vec::new();
    for line in lines {
        let entry = parse_line(line).ok_or_else(|| LayerError::EntryPoint {
            text: line.to_owned(),
        })?;
        found.retain(|earlier| earlier.name != entry.name);
        found.push(entry);
    }
    found.sort_unstable();
    Ok(found)
}

fn parse_line(line: &str) -> Option<EntryPoint> {
    let (name, object) = line.split_once('=')?;
    // Extras behind the object were for installers of old.
    let object = object.split('[').next()?.trim();
    let (module, attribute) = object.split_once(':')?;
    let (name, module, attribute) = (name.trim(), module.trim(), attribute.trim());
    let is_dotted = |text: &str| text.split('.').all(is_identifier);
    let usable = !name.is_empty() && !name.contains('/') && name != "." && name != "..";
    (usable && is_dotted(module) && is_dotted(attribute)).then(|| EntryPoint {
        name: name.to_owned(),
        module: module.to_owned(),
        attribute: attribute.to_owned(),
    })
}

fn is_identifier(text: &str) -> bool {
    let starts_well = text.starts_with(|first: char| first.is_alphabetic() || first == '_');
    starts_well && text.chars().all(|c| c.is_alphanumeric() || c == '_')
}

impl EntryPoint {
    /// Returns the program's text.
    pub(super) fn script(&self, shebang: &str) -> String {
        let Self {
            module, attribute, ..
        } = self;
        let import = attribute.split('.').next().unwrap_or(attribute);
        format!(
            "{shebang}\n\
             import sys\n\
             from {module} import {import}\n\
             \n\
             if __name__ == \"__main__\":\n    \
                 sys.exit({attribute}())\n"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scripts_are_found_and_written() {
        let text = "[other]\nx = y\n[console_scripts]\n# c\nb=m.n:f.g [extra]\na = m:f\na = m:h\n\
                    [gui_scripts]\nw = m:f\n";
        let found = parse(text).unwrap();
        let names: Vec<&str> = found.iter().map(|entry| entry.name.as_str()).collect();
        assert_eq!(names, ["a", "b", "w"]);
        assert_eq!(
            found[1].script("#!/python"),
            "#!/python\nimport sys\nfrom m.n import f\n\nif __name__ == \"__main__\":\n    \
             sys.exit(f.g())\n"
        );
    }

    #[test]
    fn what_is_no_entry_point_is_refused() {
        for line in [
            "a",
            "a = m",
            "../a = m:f",
            ".. = m:f",
            "a = m:f()",
            "a = m;x:f",
            " = m:f",
        ] {
            let text = format!("[console_scripts]\n{line}");
            assert!(parse(&text).is_err(), "{line}");
        }
    }
}
