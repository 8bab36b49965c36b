//! A wheel's `METADATA`: PEP 639's expression, or what was there before.

use spdx::{Expression, ParseMode};

use crate::attest::licence::Licence;
use crate::attest::licence::fields::{Paragraph, paragraphs};
use crate::attest::licence::names::{NO_ASSERTION, spdx_name};

/// A `License` field longer than this is a text. Its first line does not count for its name: under
/// `BSD 3-Clause License`, pandas 2.3 has the texts of a dozen others too.
const LONGEST_NAME: usize = 100;

const CLASSIFIER: &str = "License :: ";
const APPROVED: &str = "OSI Approved :: ";

/// Classifiers that mean one licence only (PEP 639 lists those that do not), without
/// `License :: OSI Approved :: `.
const CLASSIFIERS: [(&str, &str); 19] = [
    ("Boost Software License 1.0 (BSL-1.0)", "BSL-1.0"),
    (
        "CC0 1.0 Universal (CC0 1.0) Public Domain Dedication",
        "CC0-1.0",
    ),
    ("European Union Public Licence 1.2 (EUPL 1.2)", "EUPL-1.2"),
    (
        "GNU Affero General Public License v3 or later (AGPLv3+)",
        "AGPL-3.0-or-later",
    ),
    ("GNU General Public License v2 (GPLv2)", "GPL-2.0-only"),
    (
        "GNU General Public License v2 or later (GPLv2+)",
        "GPL-2.0-or-later",
    ),
    ("GNU General Public License v3 (GPLv3)", "GPL-3.0-only"),
    (
        "GNU General Public License v3 or later (GPLv3+)",
        "GPL-3.0-or-later",
    ),
    (
        "GNU Lesser General Public License v2 or later (LGPLv2+)",
        "LGPL-2.0-or-later",
    ),
    (
        "GNU Lesser General Public License v3 (LGPLv3)",
        "LGPL-3.0-only",
    ),
    (
        "GNU Lesser General Public License v3 or later (LGPLv3+)",
        "LGPL-3.0-or-later",
    ),
    ("ISC License (ISCL)", "ISC"),
    ("MIT License", "MIT"),
    ("MIT No Attribution License (MIT-0)", "MIT-0"),
    ("Mozilla Public License 1.1 (MPL 1.1)", "MPL-1.1"),
    ("Mozilla Public License 2.0 (MPL 2.0)", "MPL-2.0"),
    ("Python Software Foundation License", "PSF-2.0"),
    ("The Unlicense (Unlicense)", "Unlicense"),
    ("Universal Permissive License (UPL)", "UPL-1.0"),
];

/// Returns the licence that a `METADATA` states.
pub(in crate::attest) fn licence(text: &str) -> Licence {
    let Some(fields) = paragraphs(text).into_iter().next() else {
        return Licence::default();
    };
    if let Some(known) = fields.get("License-Expression").and_then(expression) {
        return known;
    }
    let field = fields.get("License").map(str::trim);
    let name = field.filter(|text| {
        let is_name = !text.contains('\n') && text.len() <= LONGEST_NAME;
        is_name && !text.is_empty() && !text.eq_ignore_ascii_case("unknown")
    });
    if let Some(known) = name.and_then(known) {
        return known;
    }
    let classifiers = classifiers(&fields);
    if let [one] = classifiers[..]
        && let Some((_, known)) = CLASSIFIERS
            .iter()
            .find(|(classifier, _)| *classifier == one)
    {
        return Licence::known(*known);
    }
    let words = name.map(str::to_owned);
    Licence {
        words: words.or_else(|| (!classifiers.is_empty()).then(|| classifiers.join("; "))),
        ..Licence::default()
    }
}

/// Returns the licence that a name or an expression means, else those words.
pub(in crate::attest) fn named(text: &str) -> Licence {
    known(text).unwrap_or_else(|| Licence {
        words: Some(text.to_owned()),
        ..Licence::default()
    })
}

fn known(name: &str) -> Option<Licence> {
    let by_name = spdx_name(name).map(Licence::known);
    by_name.or_else(|| expression(name))
}

fn classifiers(fields: &Paragraph) -> Vec<&str> {
    let all = fields.all("Classifier");
    let of_licences = all.filter_map(|classifier| classifier.strip_prefix(CLASSIFIER));
    let named = of_licences.map(|name| name.strip_prefix(APPROVED).unwrap_or(name));
    named.filter(|name| *name != "OSI Approved").collect()
}

/// Returns an SPDX expression as it is written there, if it is a valid one.
fn expression(text: &str) -> Option<Licence> {
    let mode = ParseMode {
        allow_deprecated: true,
        ..ParseMode::STRICT
    };
    let parsed = Expression::parse_mode(text, mode).ok()?;
    if text.contains(NO_ASSERTION) {
        return None;
    }
    let requirements = parsed.requirements().map(|one| one.req.license.to_string());
    let references = requirements.filter(|name| name.starts_with("LicenseRef-"));
    Some(Licence {
        expression: Some(parsed.to_string()),
        words: None,
        references: references
            .map(|name| {
                (
                    name,
                    "The package's metadata gives the name alone.".to_owned(),
                )
            })
            .collect(),
    })
}
