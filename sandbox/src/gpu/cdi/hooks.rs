//! What the known hooks do. They are read, never run.

use std::path::Path;

use super::wire::HookWire;

/// What a hook asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Hook {
    /// Links: what each leads to, and its path in a container.
    Links(Vec<(String, String)>),
    /// The driver's libraries must make no nodes.
    NoNewNodes,
    /// Something that a sandbox has no use for: it has its own search path and modes, and a
    /// driver older than the environment is the verdict's to refuse.
    Nothing,
    /// Nobody knows.
    Unknown,
}

/// NVIDIA's programs that hold its hooks, the older with a word before the hook's name.
const PROGRAMS: [&str; 2] = ["nvidia-cdi-hook", "nvidia-ctk"];

/// Reads a hook.
pub fn read(hook: &HookWire) -> Hook {
    let program = Path::new(&hook.path).file_name().unwrap_or_default();
    let Some(program) = PROGRAMS.into_iter().find(|it| program == *it) else {
        return Hook::Unknown;
    };
    let arguments = hook.args.as_deref().unwrap_or_default();
    // The first is the program's own name.
    let mut rest = arguments.iter().map(String::as_str).skip(1).peekable();
    if program == "nvidia-ctk" && rest.next() != Some("hook") {
        return Hook::Unknown;
    }
    match rest.next() {
        Some("create-symlinks") => links(rest).map_or(Hook::Unknown, Hook::Links),
        Some("disable-device-node-modification") => Hook::NoNewNodes,
        Some("update-ldcache" | "chmod" | "enable-cuda-compat" | "update-application-profile") => {
            Hook::Nothing
        }
        _ => Hook::Unknown,
    }
}

/// Reads `--link TARGET::LINK` and `--link=TARGET::LINK`.
fn links<'a>(arguments: impl Iterator<Item = &'a str>) -> Option<Vec<(String, String)>> {
    let mut links = Vec::new();
    let mut arguments = arguments;
    while let Some(argument) = arguments.next() {
        let value = match argument.strip_prefix("--link") {
            Some("") => arguments.next()?,
            Some(value) => value.strip_prefix('=')?,
            None => continue,
        };
        let (target, link) = value.split_once("::")?;
        links.push((target.to_owned(), link.to_owned()));
    }
    Some(links)
}
