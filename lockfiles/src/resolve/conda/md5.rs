//! What other programs ask of a package, and a lock does not hold.

use std::collections::{BTreeMap, BTreeSet};

use rattler_conda_types::{MatchSpec, PackageName};
use rattler_repodata_gateway::RepoData;

use crate::base::{Digest, Platform};
use crate::lock::LockedCondaPackage;
use crate::resolve::conda::{CondaError, CondaSession};

impl CondaSession {
    /// Returns the MD5 of each of `packages`, in hexadecimal digits and by its SHA-256, as far as
    /// the channels list it.
    ///
    /// # Errors
    /// As [`CondaSession::resolve`].
    pub async fn md5(
        &self,
        platform: Platform,
        packages: &[&LockedCondaPackage],
    ) -> Result<BTreeMap<Digest, String>, CondaError> {
        let spec = |package: &&LockedCondaPackage| {
            MatchSpec::from(PackageName::new_unchecked(package.name.as_str()))
        };
        let specs: Vec<_> = packages.iter().map(spec).collect();
        let wanted: BTreeSet<_> = packages
            .iter()
            .map(|package| package.artifact.digest)
            .collect();
        let repodata = self.records(platform, &specs).await?;
        let records = repodata.iter().flat_map(RepoData::iter);
        let found = records.filter_map(|record| {
            let record = &record.package_record;
            let digest = Digest::from_bytes(record.sha256?.into());
            let md5 = record.md5.filter(|_| wanted.contains(&digest))?;
            Some((
                digest,
                md5.iter().map(|byte| format!("{byte:02x}")).collect(),
            ))
        });
        Ok(found.collect())
    }
}
