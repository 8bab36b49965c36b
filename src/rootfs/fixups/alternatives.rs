//! Choosing among alternatives (update-alternatives(1)).

use std::collections::BTreeMap;

use crate::layers::deb::alternatives::{Alternative, DIRECTORY, parse};
use crate::rootfs::RootfsError;
use crate::rootfs::fixups::Fixups;

/// Makes the links of every alternative that a package offers: of several offers of one name, the
/// one with the highest priority; of several with that, the one whose program comes first.
pub(super) fn write(fixups: &mut Fixups<'_>) -> Result<(), RootfsError> {
    let packages: Vec<String> = fixups
        .merged
        .children(DIRECTORY)
        .map(|(name, _)| String::from_utf8_lossy(name).into_owned())
        .collect();
    let mut chosen: BTreeMap<String, Alternative> = BTreeMap::new();
    for package in packages {
        let text = fixups.read(&format!("{DIRECTORY}/{package}"))?;
        let text = String::from_utf8_lossy(&text.unwrap_or_default()).into_owned();
        for offer in parse(&text).unwrap_or_default() {
            // Offers may be of programs that another package has, which is not here.
            if !fixups.merged.exists(&offer.master.path) {
                continue;
            }
            let better = chosen
                .get(&offer.master.name)
                .is_none_or(|best| rank(&offer) < rank(best));
            if better {
                chosen.insert(offer.master.name.clone(), offer);
            }
        }
    }
    for Alternative { master, slaves, .. } in chosen.into_values() {
        for link in std::iter::once(master).chain(slaves) {
            if !fixups.merged.exists(&link.path) {
                continue;
            }
            let name = format!("etc/alternatives/{}", link.name);
            fixups.link(&link.link, &format!("/{name}"));
            fixups.link(&name, &format!("/{}", link.path));
        }
    }
    Ok(())
}

fn rank(offer: &Alternative) -> (std::cmp::Reverse<i32>, &str) {
    (std::cmp::Reverse(offer.priority), &offer.master.path)
}
