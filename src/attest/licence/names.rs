//! Names of licences, to those of SPDX.

use spdx::identifiers::LICENSES;

/// Wordings that mean one licence only, in lower case. `BSD`, `GPL` or `Apache` mean several.
const WORDINGS: [(&str, &str); 26] = [
    ("2-clause bsd", "BSD-2-Clause"),
    ("3-clause bsd", "BSD-3-Clause"),
    ("apache 2.0", "Apache-2.0"),
    ("apache license 2.0", "Apache-2.0"),
    ("apache license v2.0", "Apache-2.0"),
    ("apache license version 2.0", "Apache-2.0"),
    ("apache license, version 2.0", "Apache-2.0"),
    ("apache software license 2.0", "Apache-2.0"),
    ("apache-2", "Apache-2.0"),
    ("bsd 2-clause", "BSD-2-Clause"),
    ("bsd 3-clause", "BSD-3-Clause"),
    ("bsl-1", "BSL-1.0"),
    ("cc0", "CC0-1.0"),
    ("expat", "MIT"),
    ("gplv2+", "GPL-2.0-or-later"),
    ("gplv3+", "GPL-3.0-or-later"),
    ("isc", "ISC"),
    ("lgplv3+", "LGPL-3.0-or-later"),
    ("mit", "MIT"),
    ("modified bsd", "BSD-3-Clause"),
    ("mozilla public license 2.0", "MPL-2.0"),
    ("mpl 2.0", "MPL-2.0"),
    ("new bsd", "BSD-3-Clause"),
    ("simplified bsd", "BSD-2-Clause"),
    ("unlicense", "Unlicense"),
    ("zero-clause bsd", "0BSD"),
];

/// SPDX's word for what nobody has said: no licence, though the list of them has it.
pub(super) const NO_ASSERTION: &str = "NOASSERTION";

/// Returns SPDX's name for a licence that is called `name`, if it can mean one only.
pub(super) fn spdx_name(name: &str) -> Option<String> {
    let name = name.trim().to_ascii_lowercase();
    let short = name.strip_prefix("the ").unwrap_or(&name);
    let short = short.strip_suffix(" license").unwrap_or(short);
    let worded = WORDINGS
        .iter()
        .find(|(words, _)| [name.as_str(), short].contains(words));
    if let Some((_, known)) = worded {
        return Some((*known).to_owned());
    }
    if let Some(gnu) = gnu_name(&name) {
        return Some(gnu);
    }
    let known = LICENSES
        .iter()
        .filter(|license| license.name != NO_ASSERTION)
        .find(|license| license.name.eq_ignore_ascii_case(&name));
    known.map(|license| license.name.to_owned())
}

/// Returns SPDX's name for a licence of GNU's that is written as Debian does or SPDX did: `GPL-2+`,
/// `LGPL-2.1`, `GFDL-NIV-1.3+`.
fn gnu_name(name: &str) -> Option<String> {
    let (rest, end) = match name.strip_suffix('+') {
        Some(rest) => (rest, "or-later"),
        None => (name, "only"),
    };
    let (base, version) = rest.rsplit_once('-')?;
    let (family, variant) = match base {
        "agpl" => ("AGPL", ""),
        "gpl" => ("GPL", ""),
        "lgpl" => ("LGPL", ""),
        "gfdl" => ("GFDL", ""),
        "gfdl-niv" => ("GFDL", "no-invariants-"),
        _ => return None,
    };
    let version = match version.contains('.') {
        true => version.to_owned(),
        false => format!("{version}.0"),
    };
    let name = format!("{family}-{version}-{variant}{end}");
    spdx::license_id(&name).map(|license| license.name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_mean_one_licence_are_known() {
        for (name, expected) in [
            ("Expat", "MIT"),
            ("MIT License", "MIT"),
            ("GPL-2", "GPL-2.0-only"),
            ("GPL-2+", "GPL-2.0-or-later"),
            ("LGPL-2.1", "LGPL-2.1-only"),
            ("GFDL-NIV-1.3+", "GFDL-1.3-no-invariants-or-later"),
            ("BSD-3-clause", "BSD-3-Clause"),
            ("BSD 3-Clause License", "BSD-3-Clause"),
            ("3-Clause BSD License", "BSD-3-Clause"),
            ("Apache License v2.0", "Apache-2.0"),
            ("ZLIB", "Zlib"),
        ] {
            assert_eq!(spdx_name(name).as_deref(), Some(expected), "{name}");
        }
        for name in [
            "BSD",
            "GPL",
            "Apache",
            "public-domain",
            "Dual License",
            "NoAssertion",
            "GPL-9",
            "",
        ] {
            assert_eq!(spdx_name(name), None, "{name}");
        }
    }

    #[test]
    fn every_wording_leads_to_a_name_of_spdx() {
        for (words, name) in WORDINGS {
            assert!(spdx::license_id(name).is_some(), "{name}");
            assert_eq!(words, words.to_ascii_lowercase());
        }
    }
}
