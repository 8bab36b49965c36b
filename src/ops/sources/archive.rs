//! What a source archive says of itself, read without unpacking it.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Component, Path};

use envbox_lockfiles::resolve::python::{SourceDocuments, SourceFile};
use flate2::read::GzDecoder;

/// No `PKG-INFO` and no `pyproject.toml` is larger.
const LARGEST: u64 = 4 << 20;
/// No source archive unfolds to more.
const LARGEST_ARCHIVE: u64 = 8 << 30;

/// Reads the documents of the project in `subdirectory` of a source.
pub(super) fn documents(
    source: &SourceFile,
    subdirectory: Option<&str>,
) -> io::Result<SourceDocuments> {
    let file = File::open(&source.path)?;
    let mut documents = SourceDocuments::default();
    let directory = Path::new(subdirectory.unwrap_or(""));
    let mut take = |path: &Path, reader: &mut dyn Read| -> io::Result<()> {
        match document_name(path, directory) {
            Some("PKG-INFO") => documents.pkg_info = Some(content(reader)?),
            Some("pyproject.toml") => {
                let text = String::from_utf8(content(reader)?);
                documents.pyproject = Some(text.map_err(io::Error::other)?);
            }
            _ => {}
        }
        Ok(())
    };
    let name = source.file.as_str();
    if name.ends_with(".zip") {
        let mut zip = zip::ZipArchive::new(file).map_err(io::Error::other)?;
        for index in 0..zip.len() {
            let mut member = zip.by_index(index).map_err(io::Error::other)?;
            let path = member.name().to_owned();
            take(Path::new(&path), &mut member)?;
        }
    } else if name.ends_with(".tar.gz") || name.ends_with(".tgz") {
        each_member(GzDecoder::new(file), take)?;
    } else if name.ends_with(".tar.xz") {
        each_member(liblzma::read::XzDecoder::new(file), take)?;
    } else if name.ends_with(".tar") {
        each_member(file, take)?;
    } else {
        return Err(io::Error::other(
            "sources are `.tar.gz`, `.tar.xz`, `.tar` or `.zip`",
        ));
    }
    Ok(documents)
}

fn each_member(
    archive: impl Read,
    mut take: impl FnMut(&Path, &mut dyn Read) -> io::Result<()>,
) -> io::Result<()> {
    let mut archive = tar::Archive::new(archive.take(LARGEST_ARCHIVE));
    for member in archive.entries()? {
        let mut member = member?;
        let path = member.path()?.into_owned();
        take(&path, &mut member)?;
    }
    Ok(())
}

/// Returns the name of a file right in the project's directory below the archive's one root.
fn document_name<'a>(path: &'a Path, directory: &Path) -> Option<&'a str> {
    let path = path.strip_prefix(Component::CurDir).unwrap_or(path);
    let mut parts = path.components();
    parts.next()?;
    let below = parts.as_path();
    (below.parent()? == directory).then(|| below.file_name()?.to_str())?
}

fn content(reader: &mut dyn Read) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    reader.take(LARGEST + 1).read_to_end(&mut bytes)?;
    match bytes.len() as u64 > LARGEST {
        true => Err(io::Error::other("a document of the source is too large")),
        false => Ok(bytes),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_lie_right_below_the_one_root() {
        for (path, directory, name) in [
            ("a-1/PKG-INFO", "", Some("PKG-INFO")),
            ("./a-1/pyproject.toml", "", Some("pyproject.toml")),
            ("a-1/a.egg-info/PKG-INFO", "", None),
            ("PKG-INFO", "", None),
            ("a-1/sub/pyproject.toml", "sub", Some("pyproject.toml")),
            ("a-1/pyproject.toml", "sub", None),
        ] {
            let found = document_name(Path::new(path), Path::new(directory));
            assert_eq!(found, name, "{path}");
        }
    }
}
