//! Registries of images (OCI distribution-spec 1.1): push, pull, referrers.
//!
//! Comes in: an [`ImageName`], and what is to be pushed ([`PushImage`]) or the store to pull
//! into. Goes out: [`Pushed`], or [`Pulled`] with files of the store; every byte of it has the
//! digest that its descriptor promises.
//!
//! A registry is spoken to with TLS, one on this machine in plain text, unless
//! `Context::image_registries` says otherwise. Who the user is comes from the files in
//! `Context::credentials`, those of docker, podman and skopeo.
//!
//! **Invariant:** what the registry has is not sent again
//! (`tests::push::what_is_there_is_not_sent_again`).
//! **Invariant:** a transfer that breaks off goes on where it ended
//! (`tests::push::an_upload_goes_on_where_it_broke_off`,
//! `tests::pull::a_download_goes_on_where_it_broke_off`).
//! **Invariant:** wrong bytes never reach the store's blobs (`tests::pull::wrong_bytes_are_refused`).
//! **Invariant:** credentials go to nobody but the registry and its token server
//! (`tests::login::credentials_do_not_follow_redirects`), and into no message
//! (`tests::login::no_message_holds_a_secret`).

mod challenge;
mod credentials;
mod error;
mod manifest;
mod name;
mod pull;
mod push;
mod referrers;
mod session;
#[cfg(test)]
mod tests;
mod token;
mod upload;

pub use credentials::CredentialsError;
pub use error::{Access, RegistryError};
pub use manifest::manifest;
pub use name::{ImageName, ImageNameFault, InvalidImageName, Tag};
pub use pull::{Pulled, pull, pull_blobs};
pub use push::{Artifact, PushImage, Pushed, push, put_referrer};
pub use referrers::referrers;
pub use upload::BlobSource;
