//! Pages of an index of wheels and sources (PEP 503, PEP 658), made of what lies in a directory.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::Path;

use envbox_lockfiles::base::FsError;
use envbox_lockfiles::base::fs::write_atomic;

/// What follows a wheel's name in the name of its metadata.
pub(super) const METADATA: &str = ".metadata";

/// What follows it in the name of the file that says when it was uploaded.
pub(super) const UPLOADED: &str = ".uploaded";

/// How the names of files end that installers look for: wheels and source distributions.
const FILES: [&str; 5] = [".whl", ".tar.gz", ".tgz", ".tar.xz", ".zip"];

/// The page's name.
const PAGE: &str = "index.html";

/// Writes the page of `directory`: its wheels and sources, and the directories below it. Leaves a page that says
/// the same as it is.
pub(super) fn write(directory: &Path) -> Result<(), FsError> {
    let mut entries = BTreeMap::new();
    let listed = fs::read_dir(directory).map_err(FsError::at("read", directory))?;
    for entry in listed {
        let entry = entry.map_err(FsError::at("read", directory))?;
        let kind = entry.file_type().map_err(FsError::at("read", directory))?;
        if let Ok(name) = entry.file_name().into_string() {
            entries.insert(name, kind.is_dir());
        }
    }
    let mut page = String::from(
        "<!DOCTYPE html>\n<html>\n<head><meta name=\"pypi:repository-version\" content=\"1.0\"></head>\n\
         <body>\n",
    );
    for (name, is_directory) in entries {
        if is_directory {
            line(&mut page, &format!("{}/", escaped(&name)), "", &name);
        } else if FILES.iter().any(|end| name.ends_with(end)) {
            file_of(&mut page, directory, &name)?;
        }
    }
    page.push_str("</body>\n</html>\n");
    let file = directory.join(PAGE);
    match fs::read(&file) {
        Ok(old) if old == page.as_bytes() => Ok(()),
        _ => write_atomic(&file, page.as_bytes()),
    }
}

fn file_of(page: &mut String, directory: &Path, name: &str) -> Result<(), FsError> {
    let Some(digest) = digest(&directory.join(name))? else {
        return Ok(());
    };
    let file = directory.join(format!("{name}{METADATA}"));
    let mut attributes = String::new();
    if let Some(metadata) = digest_or_none(&file)? {
        let text = fs::read_to_string(&file).map_err(FsError::at("read", &file))?;
        if let Some(python) = requires_python(&text) {
            let python = escaped_text(python);
            write!(attributes, " data-requires-python=\"{python}\"").expect("to a String");
        }
        // PEP 714 renamed it; old programs know the old name.
        for attribute in ["data-core-metadata", "data-dist-info-metadata"] {
            write!(attributes, " {attribute}=\"sha256={metadata}\"").expect("to a String");
        }
    }
    // pip does without, uv needs it where files after some time are not to be there.
    let file = directory.join(format!("{name}{UPLOADED}"));
    if file.exists() {
        let time = fs::read_to_string(&file).map_err(FsError::at("read", &file))?;
        let time = escaped_text(time.trim_end());
        write!(attributes, " data-upload-time=\"{time}\"").expect("to a String");
    }
    let target = format!("{}#sha256={digest}", escaped(name));
    line(page, &target, &attributes, name);
    Ok(())
}

fn line(page: &mut String, target: &str, attributes: &str, text: &str) {
    let text = escaped_text(text);
    writeln!(page, "<a href=\"{target}\"{attributes}>{text}</a><br>").expect("to a String");
}

/// Returns the digest of what a link leads to: its last part. None for what is no link.
fn digest(link: &Path) -> Result<Option<String>, FsError> {
    match fs::read_link(link) {
        Ok(target) => Ok(target
            .file_name()
            .and_then(|name| Some(name.to_str()?.to_owned()))),
        // A file that somebody else put there.
        Err(error) if error.kind() == io::ErrorKind::InvalidInput => Ok(None),
        Err(error) => Err(FsError::at("read", link)(error)),
    }
}

fn digest_or_none(link: &Path) -> Result<Option<String>, FsError> {
    match digest(link) {
        Err(error) if error.source.kind() == io::ErrorKind::NotFound => Ok(None),
        other => other,
    }
}

/// Returns the value of `Requires-Python` among the headers.
fn requires_python(metadata: &str) -> Option<&str> {
    let headers = metadata.lines().take_while(|line| !line.is_empty());
    let mut fields = headers.filter_map(|line| line.split_once(':'));
    let (_, value) = fields.find(|(name, _)| name.eq_ignore_ascii_case("requires-python"))?;
    Some(value.trim())
}

/// Returns `name` as a part of a URL in an attribute.
fn escaped(name: &str) -> String {
    let mut escaped = String::new();
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~!".contains(&byte) {
            escaped.push(char::from(byte));
        } else {
            write!(escaped, "%{byte:02X}").expect("to a String");
        }
    }
    escaped
}

fn escaped_text(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_end_at_the_first_empty_line() {
        let text = "Name: a\nRequires-python: >=3.9, <4\n\nRequires-Python: none\n";
        assert_eq!(requires_python(text), Some(">=3.9, <4"));
        assert_eq!(requires_python("Name: a\n\nRequires-Python: 3\n"), None);
    }

    #[test]
    fn names_and_texts_are_escaped() {
        assert_eq!(escaped("a-1+cu\"1.whl"), "a-1%2Bcu%221.whl");
        assert_eq!(
            escaped_text(">=3,<4 & \"x\""),
            "&gt;=3,&lt;4 &amp; &quot;x&quot;"
        );
    }
}
