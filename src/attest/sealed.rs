//! Private keys under a password, as cosign keeps them.
//!
//! JSON in a PEM text: scrypt makes a key of the password, NaCl's secretbox (XSalsa20, Poly1305)
//! encrypts and authenticates the PKCS#8 bytes.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use crypto_secretbox::aead::Aead as _;
use crypto_secretbox::{Key, KeyInit as _, Nonce, XSalsa20Poly1305};
use p256::elliptic_curve::rand_core::CryptoRngCore;
use serde::{Deserialize, Serialize};
use zeroize::{Zeroize as _, Zeroizing};

use crate::attest::{AttestError, json};

/// The label that is written, and the one that cosign wrote before version 2.
pub(super) const LABELS: [&str; 2] = [
    "ENCRYPTED SIGSTORE PRIVATE KEY",
    "ENCRYPTED COSIGN PRIVATE KEY",
];

const KDF: &str = "scrypt";
const CIPHER: &str = "nacl/secretbox";
const KEY_BYTES: usize = 32;
const SALT_BYTES: usize = 32;
const NONCE_BYTES: usize = 24;

/// What scrypt may cost. Those that cosign knows: its first, its present and OWASP's; a file that
/// asks for more than 128 MiB is no key but an attack.
const COSTS: [u32; 3] = [1 << 15, 1 << 16, 1 << 17];
const COST: u32 = COSTS[1];
const BLOCK: u32 = 8;
const PARALLEL: u32 = 1;

/// What opens a private key. Wiped from memory when dropped.
#[derive(Clone)]
pub struct Password(Zeroizing<Vec<u8>>);

impl Password {
    /// Takes the password's bytes.
    pub fn new(bytes: Vec<u8>) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// Says whether two are the same.
    pub fn is_same(&self, other: &Self) -> bool {
        *self.0 == *other.0
    }
}

impl std::fmt::Debug for Password {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Password")
    }
}

/// A sealed key.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Sealed {
    kdf: KdfWire,
    cipher: CipherWire,
    ciphertext: String,
}

#[derive(Debug, Serialize, Deserialize)]
struct KdfWire {
    name: String,
    params: ParamsWire,
    salt: String,
}

#[derive(Debug, Serialize, Deserialize)]
struct ParamsWire {
    #[serde(rename = "N")]
    cost: u32,
    #[serde(rename = "r")]
    block: u32,
    #[serde(rename = "p")]
    parallel: u32,
}

#[derive(Debug, Serialize, Deserialize)]
struct CipherWire {
    name: String,
    nonce: String,
}

impl Sealed {
    /// Seals bytes.
    pub(super) fn seal(bytes: &[u8], password: &Password, random: &mut impl CryptoRngCore) -> Self {
        let (mut salt, mut nonce) = ([0; SALT_BYTES], [0; NONCE_BYTES]);
        random.fill_bytes(&mut salt);
        random.fill_bytes(&mut nonce);
        let cipher = cipher(password, &salt, COST);
        let ciphertext = cipher
            .encrypt(Nonce::from_slice(&nonce), bytes)
            .expect("a key is not too long to be encrypted");
        Self {
            kdf: KdfWire {
                name: KDF.to_owned(),
                params: ParamsWire {
                    cost: COST,
                    block: BLOCK,
                    parallel: PARALLEL,
                },
                salt: BASE64.encode(salt),
            },
            cipher: CipherWire {
                name: CIPHER.to_owned(),
                nonce: BASE64.encode(nonce),
            },
            ciphertext: BASE64.encode(ciphertext),
        }
    }

    /// Reads what is in the PEM text.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, AttestError> {
        serde_json::from_slice(bytes).map_err(|error| malformed(error.to_string()))
    }

    /// Returns what is in the PEM text.
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        json::compact(self)
    }

    /// Returns the bytes that were sealed.
    pub(super) fn open(&self, password: &Password) -> Result<Zeroizing<Vec<u8>>, AttestError> {
        for (what, name, known) in [
            ("key derivation", &self.kdf.name, KDF),
            ("cipher", &self.cipher.name, CIPHER),
        ] {
            if name != known {
                return Err(malformed(format!("the {what} is `{name}`, not `{known}`")));
            }
        }
        let ParamsWire {
            cost,
            block,
            parallel,
        } = self.kdf.params;
        if !COSTS.contains(&cost) || (block, parallel) != (BLOCK, PARALLEL) {
            let found = format!("N={cost}, r={block}, p={parallel}");
            return Err(malformed(format!("cosign has no scrypt with {found}")));
        }
        let salt = decoded("salt", &self.kdf.salt)?;
        let nonce = decoded("nonce", &self.cipher.nonce)?;
        if nonce.len() != NONCE_BYTES {
            return Err(malformed(format!("the nonce has {} bytes", nonce.len())));
        }
        let ciphertext = decoded("ciphertext", &self.ciphertext)?;
        cipher(password, &salt, cost)
            .decrypt(Nonce::from_slice(&nonce), ciphertext.as_slice())
            .map(Zeroizing::new)
            .map_err(|_| AttestError::WrongPassword)
    }
}

fn cipher(password: &Password, salt: &[u8], cost: u32) -> XSalsa20Poly1305 {
    let log_cost = u8::try_from(cost.ilog2()).expect("costs are small");
    let params = scrypt::Params::new(log_cost, BLOCK, PARALLEL, KEY_BYTES)
        .expect("the costs above are valid");
    let mut key = Key::default();
    scrypt::scrypt(&password.0, salt, &params, &mut key).expect("the key's length is valid");
    let cipher = XSalsa20Poly1305::new(&key);
    key.as_mut_slice().zeroize();
    cipher
}

fn decoded(what: &str, text: &str) -> Result<Vec<u8>, AttestError> {
    let decoded = BASE64.decode(text);
    decoded.map_err(|_| malformed(format!("the {what} is not base64")))
}

fn malformed(reason: String) -> AttestError {
    AttestError::Sealed { reason }
}
