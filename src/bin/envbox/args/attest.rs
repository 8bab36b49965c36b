//! What can be typed about parts lists, statements and keys.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Subcommand, ValueEnum};
use envbox::attest::Subject;
use envbox::base::{Digest, Platform};

use super::{Groups, Sight, StepWorld};

#[derive(Debug, clap::Args)]
pub(crate) struct Sbom {
    #[command(flatten)]
    pub(crate) groups: Groups,
    /// How the list is written: SPDX 2.3 or CycloneDX 1.5, both JSON.
    #[arg(long, value_name = "FORMAT", default_value = "spdx")]
    pub(crate) format: SbomFormat,
    /// For which of the lockfile's platforms [default: this host's, else the first].
    #[arg(long, value_name = "PLATFORM")]
    pub(crate) platform: Option<Platform>,
    /// Read the lockfile alone: without licences, and without downloading anything.
    #[arg(long)]
    pub(crate) lock_only: bool,
    /// Write to this file instead of standard output.
    #[arg(long, short, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
}

/// How a parts list is written.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum SbomFormat {
    Spdx,
    Cyclonedx,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Provenance {
    #[command(flatten)]
    pub(crate) groups: Groups,
    /// The image, by the digest of its manifest.
    #[arg(long, value_name = "NAME@DIGEST")]
    pub(crate) subject: Subject,
    /// For which of the lockfile's platforms [default: this host's, else the first].
    #[arg(long, value_name = "PLATFORM")]
    pub(crate) platform: Option<Platform>,
    /// A URI for who can be held to account for the build, such as a CI system.
    #[arg(long, value_name = "URI")]
    pub(crate) builder_id: Option<String>,
    /// Sign with this private key: of `envbox key generate` or `cosign generate-key-pair`.
    #[arg(long, value_name = "FILE")]
    pub(crate) key: Option<PathBuf>,
    /// Write to this file instead of standard output.
    #[arg(long, short, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct VerifyAttestation {
    #[command(flatten)]
    pub(crate) groups: Groups,
    /// The public key of who must have signed.
    #[arg(long, value_name = "FILE")]
    pub(crate) key: PathBuf,
    /// The digest of the image's manifest.
    #[arg(long, value_name = "DIGEST")]
    pub(crate) digest: Digest,
    /// For which of the lockfile's platforms [default: this host's, else the first].
    #[arg(long, value_name = "PLATFORM")]
    pub(crate) platform: Option<Platform>,
    /// The DSSE envelope.
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
}

#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub(crate) struct Key {
    #[command(subcommand)]
    pub(crate) command: Option<KeyCommand>,
    #[command(flatten)]
    pub(crate) groups: Groups,
    /// Leave the project's files out of the key: for engines that follow them themselves.
    #[arg(long)]
    pub(crate) without_code: bool,
    /// As with `run`.
    #[arg(long)]
    pub(crate) direct: bool,
    /// As with `run`; a lockfile that does not answer the manifest is an error anyway.
    #[arg(long, hide = true)]
    pub(crate) frozen: bool,
    #[command(flatten)]
    pub(crate) sight: Sight,
    #[command(flatten)]
    pub(crate) world: StepWorld,
    /// The name the command sees as its own.
    #[arg(long, value_name = "NAME")]
    pub(crate) argv0: Option<OsString>,
    /// The command and its arguments, after `--`.
    #[arg(required = true, last = true, value_name = "COMMAND")]
    pub(crate) argv: Vec<OsString>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum KeyCommand {
    /// Make a pair of keys: ECDSA P-256, in the files that cosign reads and writes.
    ///
    /// The private key is sealed with the password in $COSIGN_PASSWORD, or one that is typed. Files
    /// that are there are not replaced.
    Generate {
        /// The files are PREFIX.key and PREFIX.pub.
        #[arg(long, value_name = "PREFIX", default_value = "envbox")]
        output_key_prefix: PathBuf,
        /// Do not seal the private key: PKCS#8 that whoever can read the file can use. cosign does
        /// not take it.
        #[arg(long)]
        unencrypted: bool,
    },
}
