//! Which conda packages take part in activation: their lists of files say it, so that nobody has to
//! have a whole package to know that it sets nothing.

use futures::StreamExt as _;

use crate::base::Context;
use crate::lock::LockedCondaPackage;
use crate::resolve::conda::distributions::{Opening, look};
use crate::resolve::conda::session::CondaSession;

/// Returns for each of `packages`, in their order, the files by which it takes part in activation,
/// below the prefix. Nothing where its list of files is not to be had without the whole of it: it may
/// have some.
pub async fn activation_files(
    context: &Context,
    session: &CondaSession,
    packages: &[&LockedCondaPackage],
) -> Vec<Option<Vec<String>>> {
    let one = |package| async move {
        let found = look(context, session, package, Opening::Part).await;
        // Why not is said, if it is worth saying, by who then needs the whole.
        found.ok().map(|found| found.activation)
    };
    let looking = futures::stream::iter(packages.iter().copied().map(one));
    looking.buffered(context.jobs.max(1)).collect().await
}

/// Says whether an installer would run the file, or read variables from it.
pub(super) fn is_of_activation(path: &str) -> bool {
    let rest = path.strip_prefix("etc/conda/");
    rest.is_some_and(|rest| rest.starts_with("activate.d/") || rest.starts_with("env_vars.d/"))
}
