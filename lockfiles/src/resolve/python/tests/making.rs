//! Small wheels, and indexes of them.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use url::Url;

use crate::base::Digest;
use crate::resolve::python::tests::http::{Answer, Server};

/// A file that an index lists.
#[derive(Debug, Clone)]
pub(crate) struct Release {
    project: String,
    version: String,
    tag: Option<String>,
    metadata: String,
    requires_python: Option<String>,
    yanked: Option<&'static str>,
    uploaded: Option<&'static str>,
}

impl Release {
    /// A wheel for every platform that requires nothing.
    pub(crate) fn wheel(project: &str, version: &str) -> Self {
        Self {
            project: project.to_owned(),
            version: version.to_owned(),
            tag: Some("py3-none-any".to_owned()),
            metadata: String::new(),
            requires_python: None,
            yanked: None,
            uploaded: None,
        }
    }

    /// A source distribution. Its contents are not one: nothing may look into it.
    pub(crate) fn sdist(project: &str, version: &str) -> Self {
        Self {
            tag: None,
            ..Self::wheel(project, version)
        }
    }

    pub(crate) fn requires(mut self, requirement: &str) -> Self {
        writeln!(self.metadata, "Requires-Dist: {requirement}").unwrap();
        self
    }

    pub(crate) fn extra(mut self, extra: &str, requirement: &str) -> Self {
        writeln!(self.metadata, "Provides-Extra: {extra}").unwrap();
        let condition = format!("extra == '{extra}'");
        self.requires(&match requirement.split_once(';') {
            None => format!("{requirement} ; {condition}"),
            Some((name, marker)) => format!("{name} ; ({marker}) and {condition}"),
        })
    }

    pub(crate) fn tag(mut self, tag: &str) -> Self {
        self.tag = Some(tag.to_owned());
        self
    }

    pub(crate) fn python(mut self, specifier: &str) -> Self {
        writeln!(self.metadata, "Requires-Python: {specifier}").unwrap();
        self.requires_python = Some(specifier.to_owned());
        self
    }

    pub(crate) fn yanked(mut self, reason: &'static str) -> Self {
        self.yanked = Some(reason);
        self
    }

    pub(crate) fn uploaded(mut self, time: &'static str) -> Self {
        self.uploaded = Some(time);
        self
    }

    pub(crate) fn file(&self) -> String {
        let project = self.project.replace('-', "_");
        match &self.tag {
            Some(tag) => format!("{project}-{}-{tag}.whl", self.version),
            None => format!("{project}-{}.tar.gz", self.version),
        }
    }

    fn metadata(&self) -> String {
        format!(
            "Metadata-Version: 2.1\nName: {}\nVersion: {}\n{}",
            self.project, self.version, self.metadata
        )
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        let Some(tag) = &self.tag else {
            return b"not an archive".to_vec();
        };
        let info = format!(
            "{}-{}.dist-info",
            self.project.replace('-', "_"),
            self.version
        );
        let wheel = format!("Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: {tag}\n");
        zip(&[
            (format!("{info}/METADATA"), self.metadata()),
            (format!("{info}/WHEEL"), wheel),
            (format!("{info}/RECORD"), String::new()),
        ])
    }

    pub(crate) fn digest(&self) -> Digest {
        Digest::of(&self.bytes())
    }
}

/// How an index describes its files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Style {
    /// PEP 503 with digests in the links, and the sizes that uv understands.
    Html,
    /// PEP 503 at its barest.
    BareHtml,
    /// PEP 691, PEP 658 and PEP 700: digests, metadata files, sizes and times.
    Json,
    /// PEP 691 and PEP 658, without digests and sizes.
    BareJson,
}

/// Returns a directory as a `file:` URL.
pub(crate) fn file_url(directory: &Path) -> String {
    Url::from_directory_path(directory).unwrap().to_string()
}

/// Writes a PEP 503 index of `releases` into `directory` and returns its URL.
pub(crate) fn write_index(directory: &Path, releases: &[Release]) -> String {
    for (project, releases) in by_project(releases) {
        let folder = directory.join(&project);
        std::fs::create_dir_all(&folder).unwrap();
        for release in &releases {
            std::fs::write(folder.join(release.file()), release.bytes()).unwrap();
        }
        let page = html(&releases, Style::Html, "");
        std::fs::write(folder.join("index.html"), page).unwrap();
    }
    file_url(directory)
}

/// Writes the files of `releases` into `directory` and returns its URL.
pub(crate) fn write_links(directory: &Path, releases: &[Release]) -> String {
    for release in releases {
        std::fs::write(directory.join(release.file()), release.bytes()).unwrap();
    }
    file_url(directory)
}

/// Serves an index of `releases` below `/simple/`, their files below `files`, and returns its URL.
pub(crate) fn serve_index(
    server: &Server,
    files: &str,
    releases: &[Release],
    style: Style,
) -> String {
    for (project, releases) in by_project(releases) {
        let page = match style {
            Style::Html | Style::BareHtml => {
                Answer::Typed(html(&releases, style, files).into_bytes(), "text/html")
            }
            Style::Json | Style::BareJson => Answer::Typed(
                json(&project, &releases, style, files),
                "application/vnd.pypi.simple.v1+json",
            ),
        };
        server.answers(&format!("/simple/{project}/"), vec![page]);
        for release in &releases {
            let path = format!("{files}{}", release.file());
            server.file(&path, &release.bytes());
            if matches!(style, Style::Json | Style::BareJson) {
                server.file(&format!("{path}.metadata"), release.metadata().as_bytes());
            }
        }
    }
    format!("{}/simple", server.url())
}

fn by_project(releases: &[Release]) -> BTreeMap<String, Vec<&Release>> {
    let mut projects = BTreeMap::<_, Vec<_>>::new();
    for release in releases {
        projects
            .entry(release.project.clone())
            .or_default()
            .push(release);
    }
    projects
}

fn html(releases: &[&Release], style: Style, files: &str) -> String {
    let mut page = String::from("<!DOCTYPE html><html><body>\n");
    for release in releases {
        let (file, bytes) = (release.file(), release.bytes());
        let mut attributes = String::new();
        if let Some(specifier) = &release.requires_python {
            let specifier = specifier.replace('<', "&lt;").replace('>', "&gt;");
            write!(attributes, " data-requires-python=\"{specifier}\"").unwrap();
        }
        if let Some(reason) = release.yanked {
            write!(attributes, " data-yanked=\"{reason}\"").unwrap();
        }
        let mut fragment = String::new();
        if style == Style::Html {
            write!(attributes, " data-size=\"{}\"", bytes.len()).unwrap();
            fragment = format!("#sha256={}", Digest::of(&bytes).hex());
            if let Some(time) = release.uploaded {
                write!(attributes, " data-upload-time=\"{time}\"").unwrap();
            }
        }
        writeln!(
            page,
            "<a href=\"{files}{file}{fragment}\"{attributes}>{file}</a>"
        )
        .unwrap();
    }
    page + "</body></html>\n"
}

fn json(project: &str, releases: &[&Release], style: Style, files: &str) -> Vec<u8> {
    let files = releases.iter().map(|release| {
        let (file, bytes) = (release.file(), release.bytes());
        let mut entry = serde_json::json!({
            "filename": file,
            "url": format!("{files}{file}"),
            "hashes": {},
            "requires-python": release.requires_python,
            "yanked": release.yanked.unwrap_or_default(),
            "core-metadata": release.tag.is_some(),
        });
        if release.yanked.is_none() {
            entry["yanked"] = false.into();
        }
        if style == Style::Json {
            entry["hashes"] = serde_json::json!({ "sha256": Digest::of(&bytes).hex() });
            entry["size"] = bytes.len().into();
            if let Some(time) = release.uploaded {
                entry["upload-time"] = time.into();
            }
        }
        entry
    });
    let page = serde_json::json!({
        "meta": { "api-version": "1.1" },
        "name": project,
        "files": files.collect::<Vec<_>>(),
    });
    serde_json::to_vec(&page).unwrap()
}

/// Returns a zip archive of stored members (APPNOTE §4.3), with nothing optional.
fn zip(members: &[(String, String)]) -> Vec<u8> {
    let mut archive = Vec::new();
    let mut directory = Vec::new();
    for (name, content) in members {
        let mut crc = flate2::Crc::new();
        crc.update(content.as_bytes());
        let size = u32::try_from(content.len()).unwrap().to_le_bytes();
        let mut fields = Vec::new();
        // Version needed, flags, method 0, time, and the first valid date: 1980-01-01.
        fields.extend([20, 0, 0, 0, 0, 0, 0, 0, 0x21, 0]);
        fields.extend(crc.sum().to_le_bytes());
        fields.extend(size);
        fields.extend(size);
        fields.extend(u16::try_from(name.len()).unwrap().to_le_bytes());
        fields.extend([0, 0]);

        let offset = u32::try_from(archive.len()).unwrap().to_le_bytes();
        directory.extend(b"PK\x01\x02\x14\x00");
        directory.extend(&fields);
        // No comment, first disk, no attributes.
        directory.extend([0; 10]);
        directory.extend(offset);
        directory.extend(name.as_bytes());

        archive.extend(b"PK\x03\x04");
        archive.extend(&fields);
        archive.extend(name.as_bytes());
        archive.extend(content.as_bytes());
    }
    let start = u32::try_from(archive.len()).unwrap().to_le_bytes();
    let count = u16::try_from(members.len()).unwrap().to_le_bytes();
    archive.extend(&directory);
    archive.extend(b"PK\x05\x06\x00\x00\x00\x00");
    archive.extend(count);
    archive.extend(count);
    archive.extend(u32::try_from(directory.len()).unwrap().to_le_bytes());
    archive.extend(start);
    archive.extend([0, 0]);
    archive
}
