//! `envbox build`.

use std::path::PathBuf;
use std::process::ExitCode;

use envbox::image::{ArchiveKind, Codec};
use envbox::ops::build::{BuildOptions, BuildReport, Destination, build as build_image};
use envbox::ops::publish::Publication;

use crate::ambient::{self, AmbientError};
use crate::args::{self, Compression};
use crate::commands::{Session, locking, signing_key};
use crate::render::{self, Failure};

pub(super) fn build(session: &Session, args: &args::Build) -> Result<ExitCode, Failure> {
    let options = options(args)?;
    let report = build_image(
        &session.context,
        &session.project_with(&args.groups)?,
        &options,
    )?;
    session.tell("envbox.build/1", &report, text)?;
    Ok(ExitCode::SUCCESS)
}

fn options(args: &args::Build) -> Result<BuildOptions, Failure> {
    Ok(BuildOptions {
        platforms: args.platform.clone(),
        codec: match args.compression {
            Compression::Zstd => Codec::Zstd,
            Compression::Gzip => Codec::Gzip,
        },
        layers: args.layers,
        locking: locking(args.frozen),
        check: args.check,
        record: args.record,
        supervisor: match args.supervised {
            true => Some(ambient::program()?),
            false => None,
        },
        no_entrypoint: args.no_entrypoint,
        destination: args.output.as_deref().map(destination).transpose()?,
        publication: publication(args)?,
    })
}

fn publication(args: &args::Build) -> Result<Option<Publication>, Failure> {
    let Some(reference) = &args.push else {
        return Ok(None);
    };
    let key = args.key.as_deref().map(signing_key).transpose()?;
    Ok(Some(Publication {
        reference: reference.clone(),
        mount_from: args.mount_from.clone(),
        attest: args.attest,
        key,
    }))
}

/// Reads `transport:path[:name]`, as skopeo and podman write it. A path with a colon cannot be
/// written so, there as here.
fn destination(text: &str) -> Result<Destination, AmbientError> {
    let unknown = || AmbientError::Destination {
        found: text.to_owned(),
    };
    let (transport, rest) = text.split_once(':').ok_or_else(unknown)?;
    let (path, name) = match rest.split_once(':') {
        Some((path, name)) if !name.is_empty() => (path, Some(name.to_owned())),
        Some(_) => return Err(unknown()),
        None => (rest, None),
    };
    if path.is_empty() {
        return Err(unknown());
    }
    let path = PathBuf::from(path);
    let archive = |kind| Destination::Archive {
        file: path.clone(),
        kind,
        reference: name.clone(),
    };
    Ok(match transport {
        "oci" => Destination::Layout {
            directory: path,
            tag: name,
        },
        "oci-archive" => archive(ArchiveKind::Oci),
        "docker-archive" => archive(ArchiveKind::Docker),
        _ => return Err(unknown()),
    })
}

fn text(report: &BuildReport) -> String {
    let mut text = String::new();
    for image in &report.images {
        let (layers, size) = (image.layers.len(), render::size(image.bytes));
        text += &format!("{}: {layers} layers, {size}\n", image.platform);
        text += &format!(
            "  manifest {}\n  image id {}\n",
            image.digest, image.image_id
        );
    }
    if report.images.len() > 1 {
        text += &format!("index {}\n", report.digest);
    }
    if report.checked {
        text += "built twice: the same bits\n";
    }
    if let Some(path) = &report.written {
        text += &format!("wrote `{}`\n", path.display());
    }
    if let Some(pushed) = &report.pushed {
        let (sent, size) = (pushed.uploaded, render::size(pushed.uploaded_bytes));
        text += &format!(
            "pushed `{}`: sent {sent} blobs ({size}), {} were there\n",
            pushed.reference, pushed.present
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn destinations_are_read_as_skopeo_writes_them() {
        let layout = |directory: &str, tag: Option<&str>| Destination::Layout {
            directory: directory.into(),
            tag: tag.map(str::to_owned),
        };
        let read = |text: &str| destination(text).ok();
        assert_eq!(read("oci:a/b"), Some(layout("a/b", None)));
        assert_eq!(read("oci:a/b:v1"), Some(layout("a/b", Some("v1"))));
        let archive = Destination::Archive {
            file: "x.tar".into(),
            kind: ArchiveKind::Docker,
            reference: Some("host:5000/a:b".into()),
        };
        assert_eq!(read("docker-archive:x.tar:host:5000/a:b"), Some(archive));
        for wrong in ["", "x", "oci:", "oci::v1", "oci:x:", "docker:x"] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
    }
}
