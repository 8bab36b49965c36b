//! What looks like a key or a password.

use std::path::Path;

use memchr::memmem;

/// Names that hold nothing else.
const NAMES: [&str; 16] = [
    ".env",
    ".git-credentials",
    ".htpasswd",
    ".netrc",
    ".npmrc",
    ".pgpass",
    ".pypirc",
    "credentials",
    "credentials.json",
    "id_dsa",
    "id_ecdsa",
    "id_ed25519",
    "id_rsa",
    "secrets.json",
    "secrets.toml",
    "secrets.yaml",
];

/// Ends of names that hold nothing else.
const ENDS: [&str; 5] = [".jks", ".kdbx", ".key", ".p12", ".pfx"];

/// What `.env.NAME` is when it is for others to fill in.
const PATTERNS: [&str; 4] = ["dist", "example", "sample", "template"];

/// What begins tokens, and how many letters or digits follow.
const TOKENS: [(&[u8], usize); 7] = [
    (b"AKIA", 16),
    (b"ghp_", 36),
    (b"github_pat_", 22),
    (b"glpat-", 20),
    (b"hf_", 34),
    (b"sk-ant-", 20),
    (b"xoxb-", 10),
];

/// How much of a file is looked at. Keys and files of settings are short.
pub(super) const LOOKED_AT: usize = 64 * 1024;

/// Says whether a file of this name is one.
pub(super) fn by_name(path: &Path) -> bool {
    let Some(name) = path.file_name().and_then(|name| name.to_str()) else {
        return false;
    };
    let settings = name
        .strip_prefix(".env.")
        .is_some_and(|kind| !PATTERNS.contains(&kind));
    settings || NAMES.contains(&name) || ENDS.iter().any(|end| name.ends_with(end))
}

/// Says whether the beginning of a file has one.
pub(super) fn by_content(head: &[u8]) -> bool {
    let key = memmem::find_iter(head, b"-----BEGIN ").any(|at| {
        let line = &head[at..];
        let line = &line[..line
            .iter()
            .position(|byte| *byte == b'\n')
            .unwrap_or(line.len())];
        memmem::find(line, b"PRIVATE KEY").is_some()
    });
    key || TOKENS.iter().any(|(prefix, length)| {
        memmem::find_iter(head, prefix).any(|at| {
            let rest = &head[at + prefix.len()..];
            let taken = rest.iter().take_while(|byte| byte.is_ascii_alphanumeric());
            // A longer run is other data that happens to have the letters.
            let alone = at == 0 || !head[at - 1].is_ascii_alphanumeric();
            alone && taken.count() >= *length
        })
    })
}
