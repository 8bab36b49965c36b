//! `envbox diff`.

use std::process::ExitCode;

use envbox::lock::ChangeKind;
use envbox::ops::diff::{DiffReport, LockPlace, LockedFile, PackageChange, diff as compare};

use crate::commands::{Session, runs};
use crate::render::{self, Failure};
use crate::{ambient, args};

pub(super) fn diff(session: &Session, args: &args::Diff) -> Result<ExitCode, Failure> {
    if let (Some(old), Some(new)) = (&args.old, &args.new) {
        let named = |text: &String| text.parse().unwrap_or_else(|never| match never {});
        if let Some(code) = runs::diff(session, &named(old), &named(new))? {
            return Ok(code);
        }
    }
    let directory = match (&args.old, &args.new) {
        // Both are said: no project is needed.
        (Some(_), Some(_)) => ambient::current_directory()?,
        _ => ambient::project(&session.global)?,
    };
    let place = |text: &Option<String>, default: &str| {
        LockPlace::named(text.as_deref().unwrap_or(default), &directory)
    };
    let (old, new) = (place(&args.old, "HEAD"), place(&args.new, "."));
    let report = compare(&session.context, &old, &new)?;
    session.print("envbox.diff/1", &report, text)?;
    Ok(ExitCode::SUCCESS)
}

fn text(report: &DiffReport) -> String {
    let mut text = String::new();
    for reason in &report.asked {
        text += &format!("{reason}\n");
    }
    for change in &report.changes {
        text += &line(change);
    }
    let (before, after) = (render::size(report.old.size), render::size(report.new.size));
    match report.changes.len() {
        0 if report.asked.is_empty() => text + "no difference\n",
        0 => text + "the same packages\n",
        1 => text + &format!("1 package changed; {before} -> {after}\n"),
        many => text + &format!("{many} packages changed; {before} -> {after}\n"),
    }
}

fn line(changed: &PackageChange) -> String {
    let change = &changed.change;
    let (name, ecosystem) = (&change.name, change.ecosystem);
    let (before, after) = (change.before.join(", "), change.after.join(", "));
    let (old, new) = (files(&changed.old_files), files(&changed.new_files));
    let details = match changed.kind {
        ChangeKind::Added => new,
        ChangeKind::Removed => old,
        ChangeKind::Updated | ChangeKind::Replaced => turned(&old, &new),
    };
    let mut details: Vec<String> = details;
    details.insert(0, ecosystem.to_owned());
    let details = details.join(", ");
    match changed.kind {
        ChangeKind::Added => format!("+ {name} {after} ({details})\n"),
        ChangeKind::Removed => format!("- {name} {before} ({details})\n"),
        ChangeKind::Updated => format!("~ {name} {before} -> {after} ({details})\n"),
        ChangeKind::Replaced => {
            let other = another(&changed.old_files, &changed.new_files);
            format!("~ {name} {after}, {other} ({details})\n")
        }
    }
}

/// What is told of files: their size, and their licence where it is known.
fn files(files: &[LockedFile]) -> Vec<String> {
    if files.is_empty() {
        return Vec::new();
    }
    let size = files.iter().map(|file| file.size).sum();
    let licence = files.iter().find_map(|file| file.licence.as_deref());
    let licence = licence.unwrap_or_default().to_owned();
    vec![render::size(size), licence]
        .into_iter()
        .filter(|text| !text.is_empty())
        .collect()
}

/// What was told before and is told now: once what is the same.
fn turned(old: &[String], new: &[String]) -> Vec<String> {
    let mut turned = Vec::new();
    for place in 0..old.len().max(new.len()) {
        let of = |side: &[String]| side.get(place).cloned().unwrap_or("unknown".to_owned());
        let (old, new) = (of(old), of(new));
        turned.push(match old == new {
            true => new,
            false => format!("{old} -> {new}"),
        });
    }
    turned
}

/// Says how the files of one version differ.
fn another(old: &[LockedFile], new: &[LockedFile]) -> String {
    match (old, new) {
        ([old], [new]) if old.file == new.file => {
            format!("other bytes: {} -> {}", old.digest, new.digest)
        }
        _ => "other files".to_owned(),
    }
}
