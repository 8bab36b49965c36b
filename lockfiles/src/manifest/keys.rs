//! The keys of every table.

/// The keys that a table may have.
#[derive(Debug)]
pub(super) struct Keys {
    /// What messages call the table.
    pub(super) table: &'static str,
    /// Those with a meaning.
    pub(super) known: &'static [&'static str],
    /// Those that will have one: no slip of the user's, so told apart.
    pub(super) planned: &'static [&'static str],
}

pub(super) const ROOT: Keys = Keys {
    table: "the manifest",
    known: &[
        "environment",
        "base",
        "python",
        "conda",
        "debian",
        "groups",
        "gpu",
        "sandbox",
        "data",
    ],
    planned: &[],
};

pub(super) const DATUM: Keys = Keys {
    table: "an entry of [data]",
    known: &["sha256", "size", "url"],
    planned: &[],
};

pub(super) const ENVIRONMENT: Keys = Keys {
    table: "[environment]",
    known: &["name", "python", "platforms"],
    planned: &[],
};

pub(super) const BASE: Keys = Keys {
    table: "[base]",
    known: &["image", "registry"],
    planned: &[],
};

pub(super) const INTERPRETER: Keys = Keys {
    table: "[environment] python",
    known: &["version", "from"],
    planned: &[],
};

pub(super) const PYTHON: Keys = Keys {
    table: "[python]",
    known: &[
        "requirements",
        "requirements-from",
        "constraints",
        "overrides",
        "exclude-newer",
        "prerelease",
        "index-url",
        "extra-index-urls",
        "find-links",
        "no-build",
    ],
    planned: &[],
};

/// PEP 723 has no other keys, and says that there will be none without a new PEP.
pub(super) const SCRIPT: Keys = Keys {
    table: "the header of the script",
    known: &["dependencies", "requires-python", "tool"],
    planned: &[],
};

pub(super) const REQUIREMENTS_FROM: Keys = Keys {
    table: "[python] requirements-from",
    known: &["file", "extras", "groups"],
    planned: &[],
};

pub(super) const REGISTRY: Keys = Keys {
    table: "a registry",
    known: &["name", "url"],
    planned: &[],
};

pub(super) const CONDA: Keys = Keys {
    table: "[conda]",
    known: &[
        "channels",
        "channel-priority",
        "dependencies",
        "constraints",
        "exclude-newer",
        "virtual-packages",
        "python-names",
        "link-scripts",
        "base",
    ],
    planned: &[],
};

pub(super) const DEBIAN: Keys = Keys {
    table: "[debian]",
    known: &[
        "suite",
        "snapshot",
        "packages",
        "security",
        "mirror",
        "security-mirror",
    ],
    planned: &[],
};

pub(super) const GPU: Keys = Keys {
    table: "[gpu]",
    known: &["vendor", "cuda", "driver", "device"],
    planned: &[],
};

pub(super) const SANDBOX: Keys = Keys {
    table: "[sandbox]",
    known: &[
        "hostname",
        "epoch",
        "clock",
        "seed",
        "cpus",
        "cpu-baseline",
        "framework-knobs",
        "cpuid",
        "file-status",
        "output-times",
        "network",
        "outputs",
        "env",
        "pass-env",
    ],
    planned: &[],
};

pub(super) const GROUP: Keys = Keys {
    table: "a group",
    known: &["requirements", "requirements-from", "conda", "debian"],
    planned: &[],
};

/// PEP 735.
pub(super) const GROUP_ITEM: Keys = Keys {
    table: "a dependency group",
    known: &["include-group"],
    planned: &[],
};

/// Returns the table that `key` belongs in.
pub(super) fn table_of(key: &str) -> Option<&'static str> {
    let tables = [
        &ENVIRONMENT,
        &BASE,
        &PYTHON,
        &CONDA,
        &DEBIAN,
        &GPU,
        &SANDBOX,
    ];
    tables
        .into_iter()
        .find(|keys| keys.known.contains(&key))
        .map(|keys| keys.table)
}
