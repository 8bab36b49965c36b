//! Images as files: an OCI layout (image-spec, `image-layout.md`) in a directory or a tar archive.
//!
//! The archive for Docker is a layout with one file more, `manifest.json`, which is what
//! `docker load` reads; its paths lead to the layout's blobs. So there is one archive that both
//! kinds of programs read.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use envbox_lockfiles::base::fs::{create_dir_all, read, write_atomic};
use envbox_lockfiles::base::{Digest, FsError};
use serde_json::json;

use crate::image::tar::{Entry, Kind, finish, write_entry};
use crate::image::{Descriptor, Image, ImageError, ImageIndex, MediaType};

/// The annotation by which a layout's index names its images.
const REF_NAME: &str = "org.opencontainers.image.ref.name";

/// The file that marks a layout.
const MARK: (&str, &str) = ("oci-layout", r#"{"imageLayoutVersion":"1.0.0"}"#);

/// The file that lists a layout's images.
const INDEX: &str = "index.json";

/// Who is to read an archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ArchiveKind {
    /// What reads OCI layouts.
    Oci,
    /// `docker load`, and what reads OCI layouts.
    Docker,
}

/// Images that are written together: one, or one for each of several platforms.
#[derive(Debug, Clone)]
pub struct ImageSet {
    images: Vec<Image>,
    /// The index of several images.
    index: Option<Vec<u8>>,
}

/// Lists `image`, whose blobs are there, in the layout in `directory`, which may be none yet. What it
/// lists already stays.
///
/// # Errors
/// Returns [`ImageError::Layout`] when the layout's index makes no sense, and what writing returns.
pub fn add_to_layout(directory: &Path, image: &Descriptor) -> Result<(), ImageError> {
    let path = directory.join(INDEX);
    let mut index = match read(&path) {
        Ok(bytes) => {
            let parsed = ImageIndex::parse(&bytes);
            parsed.map_err(|source| ImageError::Layout {
                path: path.clone(),
                source,
            })?
        }
        Err(error) if error.source.kind() == io::ErrorKind::NotFound => ImageIndex::new(Vec::new()),
        Err(error) => return Err(error.into()),
    };
    if index
        .manifests
        .iter()
        .all(|listed| listed.digest != image.digest)
    {
        index.manifests.push(image.clone());
        write_atomic(&path, &index.to_bytes())?;
    }
    write_atomic(&directory.join(MARK.0), MARK.1.as_bytes())?;
    Ok(())
}

/// Where the bytes of a file of a layout are.
enum Source {
    Bytes(Vec<u8>),
    File(PathBuf, u64),
}

impl ImageSet {
    /// Takes images for platforms that differ.
    pub fn new(images: Vec<Image>) -> Self {
        let index = (images.len() > 1).then(|| {
            let manifests = images.iter().map(Image::descriptor).collect();
            ImageIndex::new(manifests).to_bytes()
        });
        Self { images, index }
    }

    /// Returns the images.
    pub fn images(&self) -> &[Image] {
        &self.images
    }

    /// Returns the bytes of the index, when there are several images.
    pub fn index(&self) -> Option<&[u8]> {
        self.index.as_deref()
    }

    /// Describes the whole: the index, or the one manifest.
    pub fn descriptor(&self) -> Descriptor {
        match &self.index {
            Some(bytes) => Descriptor::of(MediaType::INDEX, bytes),
            None => {
                let bytes = self.images[0].manifest().to_bytes();
                Descriptor::of(MediaType::MANIFEST, &bytes)
            }
        }
    }

    /// Writes the images to the layout in `directory`, which is made when it is not there, under
    /// the name `tag`. Other images of the layout stay; one of the same name is replaced.
    ///
    /// # Errors
    /// Returns [`ImageError::NotALayout`] when the directory holds something else, and what writing
    /// returns; the layout is then what it was, save blobs that nothing refers to.
    pub fn write_directory(&self, directory: &Path, tag: &str) -> Result<(), ImageError> {
        let index = self.merged_index(directory, tag)?;
        for (path, source) in self.blobs() {
            write_blob(&directory.join(path), &source)?;
        }
        write_atomic(&directory.join(MARK.0), MARK.1.as_bytes())?;
        // The index last: whoever reads it finds all that it names.
        write_atomic(&directory.join(INDEX), &index)?;
        Ok(())
    }

    /// Writes the images to an archive at `file`, under the name `reference`. The same images give
    /// the same bytes.
    ///
    /// # Errors
    /// Returns what writing returns; `file` is then what it was.
    pub fn write_archive(
        &self,
        file: &Path,
        kind: ArchiveKind,
        reference: &str,
    ) -> Result<(), ImageError> {
        let mut files = self.blobs();
        // Docker has the repository in the name, a layout the tag alone.
        let tag = tag_of(reference);
        let mut add = |name: &str, bytes: Vec<u8>| {
            files.insert(name.to_owned(), Source::Bytes(bytes));
        };
        add(MARK.0, MARK.1.into());
        add(INDEX, ImageIndex::new(vec![self.named(tag)]).to_bytes());
        if kind == ArchiveKind::Docker {
            add("manifest.json", self.docker_manifest(reference));
        }
        let parent = file.parent().filter(|path| !path.as_os_str().is_empty());
        let parent = parent.unwrap_or(Path::new("."));
        create_dir_all(parent)?;
        let failed = |error| ImageError::File(FsError::at("write", file)(error));
        let temporary = tempfile::NamedTempFile::new_in(parent).map_err(failed)?;
        let mut stream = BufWriter::with_capacity(1 << 20, temporary.as_file());
        let written = write_tar(&mut stream, &files).and_then(|()| stream.flush());
        written.map_err(failed)?;
        drop(stream);
        publish(temporary, file).map_err(failed)
    }

    /// Returns the files below `blobs/` by path.
    fn blobs(&self) -> BTreeMap<String, Source> {
        let mut blobs = BTreeMap::new();
        let mut add = |digest: Digest, source| blobs.insert(blob_path(digest), source);
        for image in &self.images {
            for bytes in [image.config().to_bytes(), image.manifest().to_bytes()] {
                add(Digest::of(&bytes), Source::Bytes(bytes));
            }
            for layer in image.layers() {
                let source = Source::File(image.layer_path(layer), layer.stored.size);
                add(layer.stored.digest, source);
            }
        }
        if let Some(bytes) = &self.index {
            add(Digest::of(bytes), Source::Bytes(bytes.clone()));
        }
        blobs
    }

    fn named(&self, tag: &str) -> Descriptor {
        let mut descriptor = self.descriptor();
        let annotations = &mut descriptor.annotations;
        annotations.insert(REF_NAME.to_owned(), tag.to_owned());
        descriptor
    }

    /// Returns the index of the layout in `directory` with these images in it.
    fn merged_index(&self, directory: &Path, tag: &str) -> Result<Vec<u8>, ImageError> {
        let path = directory.join(INDEX);
        let mut index = match File::open(&path) {
            Ok(_) => {
                let bytes = read(&path)?;
                let parsed = ImageIndex::parse(&bytes);
                parsed.map_err(|source| ImageError::Layout { path, source })?
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                refuse_foreign(directory)?;
                ImageIndex::new(Vec::new())
            }
            Err(error) if error.kind() == io::ErrorKind::NotADirectory => {
                return Err(ImageError::NotALayout {
                    path: directory.to_path_buf(),
                });
            }
            Err(error) => return Err(FsError::at("read", &path)(error).into()),
        };
        let same = |descriptor: &Descriptor| {
            descriptor.annotations.get(REF_NAME).map(String::as_str) == Some(tag)
        };
        index.manifests.retain(|descriptor| !same(descriptor));
        index.manifests.push(self.named(tag));
        Ok(index.to_bytes())
    }

    /// Returns what `docker load` reads: <https://github.com/moby/docker-image-spec>, "combined
    /// image JSON + filesystem changeset format".
    fn docker_manifest(&self, reference: &str) -> Vec<u8> {
        let images: Vec<_> = self
            .images
            .iter()
            .map(|image| {
                let layers = image.layers().iter();
                let layers: Vec<_> = layers.map(|layer| blob_path(layer.stored.digest)).collect();
                json!({
                    "Config": blob_path(image.manifest().config.digest),
                    "Layers": layers,
                    "RepoTags": [reference],
                })
            })
            .collect();
        serde_json::to_vec(&images).expect("maps have text for keys")
    }
}

/// Returns the tag in `name:tag`, which a port in front of it is not.
fn tag_of(reference: &str) -> &str {
    match reference.rsplit_once(':') {
        Some((_, tag)) if !tag.contains('/') => tag,
        _ => "latest",
    }
}

fn blob_path(digest: Digest) -> String {
    format!("blobs/sha256/{}", digest.hex())
}

fn refuse_foreign(directory: &Path) -> Result<(), ImageError> {
    let full = fs::read_dir(directory).is_ok_and(|mut entries| entries.next().is_some());
    match full && !directory.join(MARK.0).exists() {
        true => Err(ImageError::NotALayout {
            path: directory.to_path_buf(),
        }),
        false => Ok(()),
    }
}

/// Writes a blob unless it is there. It gets its name when it is whole.
fn write_blob(path: &Path, source: &Source) -> Result<(), ImageError> {
    let size = match source {
        Source::Bytes(bytes) => bytes.len() as u64,
        Source::File(_, size) => *size,
    };
    if fs::metadata(path).is_ok_and(|metadata| metadata.len() == size) {
        return Ok(());
    }
    let parent = path.parent().expect("blobs are in a directory");
    create_dir_all(parent)?;
    let write = || {
        let mut temporary = tempfile::NamedTempFile::new_in(parent)?;
        match source {
            Source::Bytes(bytes) => temporary.write_all(bytes)?,
            Source::File(from, _) => {
                io::copy(&mut File::open(from)?, temporary.as_file_mut())?;
            }
        }
        publish(temporary, path)
    };
    Ok(write().map_err(FsError::at("write", path))?)
}

/// Gives a finished file its name and the mode that others may read it with.
fn publish(temporary: tempfile::NamedTempFile, path: &Path) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    let file = temporary.as_file();
    file.set_permissions(fs::Permissions::from_mode(0o644))?;
    file.sync_all()?;
    temporary.persist(path)?;
    Ok(())
}

fn write_tar(stream: &mut dyn Write, files: &BTreeMap<String, Source>) -> io::Result<()> {
    for directory in ["blobs", "blobs/sha256"] {
        let entry = entry(directory, 0o755, Kind::Directory);
        write_entry(stream, &entry, &mut io::empty())?;
    }
    for (path, source) in files {
        let (size, mut content): (u64, Box<dyn Read + '_>) = match source {
            Source::Bytes(bytes) => (bytes.len() as u64, Box::new(bytes.as_slice())),
            Source::File(from, size) => (*size, Box::new(File::open(from)?)),
        };
        let entry = entry(path, 0o644, Kind::File { size });
        write_entry(stream, &entry, &mut content)?;
    }
    finish(stream)
}

fn entry<'a>(path: &'a str, mode: u32, kind: Kind<'a>) -> Entry<'a> {
    Entry {
        path: path.as_bytes(),
        mode,
        owner: 0,
        kind,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_no_tags() {
        for (reference, tag) in [
            ("iris", "latest"),
            ("iris:v1", "v1"),
            ("localhost:5000/iris", "latest"),
            ("localhost:5000/iris:v1", "v1"),
        ] {
            assert_eq!(tag_of(reference), tag);
        }
    }
}
