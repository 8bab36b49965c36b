//! The versions of the format, and what came with which.

use super::wire::{EditsWire, SpecWire};

/// Every version, in order.
const VERSIONS: [&str; 10] = [
    "0.1.0", "0.2.0", "0.3.0", "0.4.0", "0.5.0", "0.6.0", "0.7.0", "0.8.0", "1.0.0", "1.1.0",
];

/// Returns whether a version is known.
pub fn is_known(version: &str) -> bool {
    VERSIONS.contains(&version)
}

/// Returns the first thing in a specification that its version does not have, and the version that
/// has it.
pub fn too_new(spec: &SpecWire) -> Option<(&'static str, &'static str)> {
    let has = |since: &str| {
        let place = |version: &str| VERSIONS.iter().position(|it| *it == version);
        place(&spec.cdi_version) >= place(since)
    };
    let devices = || spec.devices.iter().flatten();
    let own = spec.container_edits.iter();
    let edits: Vec<&EditsWire> = own
        .chain(devices().filter_map(|it| it.container_edits.as_ref()))
        .collect();
    let any = |test: fn(&EditsWire) -> bool| edits.iter().any(|it| test(it));
    let class = spec.kind.split('/').nth(1).unwrap_or_default();
    let digit = |name: &str| name.starts_with(|first: char| first.is_ascii_digit());
    let annotated = spec.annotations.is_some() || devices().any(|it| it.annotations.is_some());
    [
        ("the type of a mount", "0.4.0", any(has_mount_type)),
        ("a `hostPath` of a node", "0.5.0", any(has_host_path)),
        ("the owner of a node", "0.5.0", any(has_owner)),
        (
            "a device whose name begins with a digit",
            "0.5.0",
            devices().any(|it| digit(&it.name)),
        ),
        ("annotations", "0.6.0", annotated),
        ("a dot in its class", "0.6.0", class.contains('.')),
        ("`intelRdt`", "0.7.0", any(|it| it.intel_rdt.is_some())),
        (
            "`additionalGids`",
            "0.7.0",
            any(|it| it.additional_gids.is_some()),
        ),
        ("`netDevices`", "1.1.0", any(|it| it.net_devices.is_some())),
        ("the `schemata` of `intelRdt`", "1.1.0", any(has_schemata)),
    ]
    .into_iter()
    .find(|(_, since, found)| *found && !has(since))
    .map(|(feature, since, _)| (feature, since))
}

fn has_mount_type(edits: &EditsWire) -> bool {
    let mut mounts = edits.mounts.iter().flatten();
    mounts.any(|it| it.kind.as_deref().is_some_and(|kind| !kind.is_empty()))
}

fn has_host_path(edits: &EditsWire) -> bool {
    let mut nodes = edits.device_nodes.iter().flatten();
    nodes.any(|it| it.host_path.as_deref().is_some_and(|path| !path.is_empty()))
}

fn has_owner(edits: &EditsWire) -> bool {
    let mut nodes = edits.device_nodes.iter().flatten();
    nodes.any(|it| it.uid.is_some() || it.gid.is_some())
}

fn has_schemata(edits: &EditsWire) -> bool {
    let rdt = edits.intel_rdt.as_ref();
    rdt.is_some_and(|it| it.schemata.is_some() || it.enable_monitoring.is_some())
}
