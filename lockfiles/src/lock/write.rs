//! The canonical text: the same value gives the same bytes.

use std::fmt::Write as _;

use crate::base::{Digest, Hasher, Platform};
use crate::lock::base::base_table;
use crate::lock::conda::{conda_tables, request_table};
use crate::lock::gpu::{self, gpu_tables};
use crate::lock::groups::group_tables;
use crate::lock::schema::{
    Artifact, LockedInterpreter, LockedPackage, LockedSuite, Lockfile, Origin, Request,
};
use crate::lock::wheel::wheel_tables;

const HEADER: &str =
    "# Made by `envbox lock`. Do not edit: a changed line breaks the seal below.\n";

/// The key of the seal. No other line begins with it, so that a tool can leave the seal's line out
/// without parsing: keys are fixed, and strings hold no line break.
const SEAL: &str = "digest";

impl Lockfile {
    /// Returns the canonical bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        self.sealed().0.into_bytes()
    }

    /// Returns the digest that names what this lock locks: the seal that it has without
    /// `[[built]]`, which is the SHA-256 of the canonical bytes without the seal's own line.
    pub fn digest(&self) -> Digest {
        match self.built.is_empty() {
            true => self.sealed().1,
            // Images hold this digest, so it cannot depend on theirs.
            false => Self {
                built: Vec::new(),
                ..self.clone()
            }
            .digest(),
        }
    }

    /// Returns the canonical text and its seal.
    pub(super) fn sealed(&self) -> (String, Digest) {
        debug_assert_eq!(self.disorder(), None, "a lock is sorted when it is made");
        let (head, body) = (self.head(), self.body());
        let seal = seal(&head, &body);
        let mut text = String::with_capacity(head.len() + body.len() + 128);
        text.push_str(&head);
        string(&mut text, SEAL, &seal.to_string());
        text.push_str(&body);
        (text, seal)
    }

    /// Everything above the seal.
    fn head(&self) -> String {
        let mut text = HEADER.to_owned();
        field(&mut text, "version", self.version());
        text
    }

    /// Everything below the seal.
    fn body(&self) -> String {
        let mut text = String::new();
        string(&mut text, "manifest", &self.request.digest().to_string());
        text.push_str("\n[request]\n");
        text.push_str(&self.request.text());
        let platforms = &self.request.platforms;
        if let Some(base) = &self.base {
            base_table(&mut text, base);
        }
        if let Some(interpreter) = &self.interpreter {
            interpreter_table(&mut text, interpreter);
        }
        conda_tables(&mut text, &self.conda, platforms);
        for wheel in &self.python {
            wheel_tables(&mut text, wheel, platforms);
        }
        for suite in &self.debian.suites {
            suite_table(&mut text, suite);
        }
        for package in &self.debian.packages {
            package_table(&mut text, package, platforms);
        }
        if let Some(gpu) = &self.gpu {
            gpu_tables(&mut text, gpu, platforms);
        }
        for image in &self.built {
            text.push_str("\n[[built]]\n");
            string(&mut text, "platform", &image.platform.to_string());
            string(&mut text, "image-id", &image.image_id.to_string());
        }
        text
    }
}

impl Request {
    /// Returns the digest of the canonical text: what a lock answers.
    pub fn digest(&self) -> Digest {
        Digest::of(self.text().as_bytes())
    }

    fn text(&self) -> String {
        let mut text = String::new();
        string(&mut text, "name", self.name.as_str());
        list(&mut text, "platforms", &self.platforms);
        optional(&mut text, "python", self.python.as_deref());
        optional(
            &mut text,
            "python-from",
            self.python_from.map(word).as_deref(),
        );
        list(&mut text, "requirements", &self.requirements);
        list(&mut text, "constraints", &self.constraints);
        list(&mut text, "overrides", &self.overrides);
        optional(
            &mut text,
            "exclude-newer",
            self.exclude_newer.map(|time| time.to_string()).as_deref(),
        );
        string(&mut text, "prerelease", &word(self.prerelease));
        list(&mut text, "extra-indexes", &self.extra_indexes);
        list(&mut text, "find-links", &self.find_links);
        field(&mut text, "no-build", self.no_build);
        optional(&mut text, "suite", self.suite.as_deref());
        optional(&mut text, "snapshot", self.snapshot.as_deref());
        if let Some(security) = self.security {
            field(&mut text, "security", security);
        }
        list(&mut text, "packages", &self.packages);
        let base = self.base.as_ref().map(ToString::to_string);
        optional(&mut text, "base", base.as_deref());
        if let Some(conda) = &self.conda {
            request_table(&mut text, conda);
        }
        if let Some(gpu) = &self.gpu {
            gpu::request_table(&mut text, gpu);
        }
        group_tables(&mut text, &self.groups);
        text
    }
}

fn seal(head: &str, body: &str) -> Digest {
    let mut hasher = Hasher::new();
    hasher.update(head.as_bytes());
    hasher.update(body.as_bytes());
    hasher.finish().0
}

fn interpreter_table(text: &mut String, interpreter: &LockedInterpreter) {
    text.push_str("\n[interpreter]\n");
    string(text, "from", &word(interpreter.from));
    string(text, "version", &interpreter.version);
    string(text, "path", &interpreter.path);
    for archive in &interpreter.archives {
        text.push_str("\n[[interpreter.archive]]\n");
        string(text, "platform", &archive.platform.to_string());
        artifact(text, &archive.artifact);
    }
}

fn suite_table(text: &mut String, suite: &LockedSuite) {
    text.push_str("\n[[debian.suite]]\n");
    string(text, "name", &suite.name);
    string(text, "registry", suite.registry.as_str());
    string(text, "date", &suite.date.to_string());
}

fn package_table(text: &mut String, package: &LockedPackage, all: &[Platform]) {
    text.push_str("\n[[debian.package]]\n");
    string(text, "name", package.name.as_str());
    string(text, "version", &package.version);
    string(text, "architecture", &package.architecture);
    platforms(text, &package.platforms, all);
    artifact(text, &package.artifact);
    list(text, "required-by", &package.required_by);
}

pub(super) fn artifact(text: &mut String, artifact: &Artifact) {
    match &artifact.origin {
        Origin::Registry(name) => string(text, "registry", name.as_str()),
        Origin::Url(url) => string(text, "url", url),
        Origin::Built => {}
    }
    string(text, "file", &artifact.file);
    field(text, "size", artifact.size);
    string(text, "sha256", &artifact.digest.hex());
}

pub(super) fn platforms(text: &mut String, platforms: &[Platform], all: &[Platform]) {
    if platforms != all {
        list(text, "platforms", platforms);
    }
}

pub(super) fn field(text: &mut String, key: &str, value: impl std::fmt::Display) {
    writeln!(text, "{key} = {value}").expect("writing to a String cannot fail");
}

pub(super) fn string(text: &mut String, key: &str, value: &str) {
    field(text, key, quoted(value));
}

pub(super) fn optional(text: &mut String, key: &str, value: Option<&str>) {
    if let Some(value) = value {
        string(text, key, value);
    }
}

/// A list stands on one line when it has at most one item, so that a diff shows items by line.
pub(super) fn list<T: std::fmt::Display>(text: &mut String, key: &str, items: &[T]) {
    match items {
        [] => field(text, key, "[]"),
        [item] => field(text, key, format_args!("[{}]", quoted(&item.to_string()))),
        items => {
            writeln!(text, "{key} = [").expect("writing to a String cannot fail");
            for item in items {
                writeln!(text, "    {},", quoted(&item.to_string()))
                    .expect("writing to a String cannot fail");
            }
            text.push_str("]\n");
        }
    }
}

/// Returns a TOML basic string.
fn quoted(value: &str) -> String {
    let mut quoted = String::with_capacity(value.len() + 2);
    quoted.push('"');
    for character in value.chars() {
        match character {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            control if control.is_control() => {
                write!(quoted, "\\u{:04X}", u32::from(control))
                    .expect("writing to a String cannot fail");
            }
            other => quoted.push(other),
        }
    }
    quoted.push('"');
    quoted
}

/// Returns the word that serde gives to a unit variant.
pub(super) fn word(variant: impl serde::Serialize) -> String {
    match serde_json::to_value(variant) {
        Ok(serde_json::Value::String(word)) => word,
        _ => unreachable!("only unit variants have words"),
    }
}
