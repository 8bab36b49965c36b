//! A lock to statements that others can check: what is in it, how it came to be, who says so.
//!
//! Comes in: a [`Lockfile`](envbox_lockfiles::lock::Lockfile), the trees of its packages, a
//! [`Subject`] (an image's name and digest, as plain values) and keys. Goes out: bytes. Nothing here
//! talks to a registry, reads a clock or draws chance of its own.
//!
//! | what | format | made by |
//! |---|---|---|
//! | parts list | SPDX 2.3 or CycloneDX 1.5, JSON | [`sbom`] |
//! | how it came to be | in-toto Statement v1 with SLSA v1 provenance | [`provenance`] |
//! | a signed statement | DSSE envelope | [`sign_statement`], [`verify_envelope`] |
//! | a signed image | cosign's "simple signing" | [`sign_payload`], [`verify_payload`] |
//! | any of them beside an image | OCI 1.1 referrer, or cosign's tags | [`Attachment`] |
//! | keys | ECDSA P-256 as `cosign generate-key-pair` writes them | [`PrivateKey`], [`PublicKey`] |
//!
//! Signatures are ECDSA P-256 over SHA-256, made as RFC 6979 says: the same key and bytes give the
//! same signature. Nothing here knows of transparency logs or certificates: whoever verifies must
//! have the public key from somebody they trust. What cosign signs with a key verifies here, and the
//! other way round.
//!
//! Licences are what packages say of themselves: a wheel's metadata (`License-Expression`, else a
//! `License` field or a classifier that names exactly one), a Debian package's machine-readable
//! `copyright`, the licence file of a standalone interpreter. What is not said in a way that can be
//! read without guessing is `NOASSERTION`.
//!
//! **Invariant:** a document depends on the lock, the platform, the epoch and the packages' own files
//! alone (`tests::sboms::a_document_is_equal_everywhere`).
//! **Invariant:** no document names a registry's host (`tests::sboms::no_document_names_a_host`).
//! **Invariant:** a signature holds for its bytes and its key alone
//! (`tests::signing::no_changed_byte_verifies`, `tests::signing::another_key_does_not_verify`).
//! **Invariant:** reading licences never leaves a package's tree
//! (`tests::licences::no_link_leads_out_of_a_tree`).

mod attachment;
mod envelope;
mod error;
mod inventory;
mod json;
mod key;
mod licence;
mod payload;
mod pem;
mod provenance;
mod sbom;
mod sealed;
mod statement;
#[cfg(test)]
mod tests;

pub use attachment::{
    Attachment, Blob, InvalidSubject, SignatureLayer, Subject, fallback_tag, signatures_in,
};
pub use envelope::{Envelope, sign_statement, verify_envelope};
pub use error::{AttestError, LicenceError};
pub use key::{PrivateKey, PublicKey, Signature};
pub use licence::{Licence, Licences};
/// What gives chance to make keys of.
pub use p256::elliptic_curve::rand_core::CryptoRngCore;
pub use payload::{Payload, sign_payload, verify_payload};
pub use provenance::{Builder, check_provenance, provenance};
pub use sbom::{Sbom, SbomFormat, SbomOptions, sbom};
pub use sealed::Password;
pub use statement::{PREDICATE_CYCLONEDX, PREDICATE_PROVENANCE, PREDICATE_SPDX, Statement};
