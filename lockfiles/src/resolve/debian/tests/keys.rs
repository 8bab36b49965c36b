//! Keys made for one test, and what they sign.

use pgp::composed::{
    ArmorOptions, CleartextSignedMessage, KeyType, SecretKeyParamsBuilder, SignedKeyDetails,
    SignedPublicKey, SignedPublicSubKey,
};
use pgp::crypto::hash::HashAlgorithm;
use pgp::packet::{
    KeyFlags, PublicKey, SecretKey, Signature, SignatureConfig, SignatureType, Subpacket,
    SubpacketData, UserId,
};
use pgp::ser::Serialize as _;
use pgp::types::{
    Duration, KeyDetails as _, PacketHeaderVersion, Password, SignedUser, SigningKey, Tag,
    Timestamp,
};
use rand::SeedableRng as _;
use rand::rngs::StdRng;

use crate::resolve::debian::Keyring;

/// When keys are made: 2026-01-01.
pub(super) const MADE: u32 = 1_767_225_600;

/// When texts are signed: 2026-06-01.
pub(super) const SIGNED: u32 = 1_780_272_000;

/// What is unusual about a key.
#[derive(Clone, Copy)]
pub(super) struct Spec {
    /// Two keys of the same seed are the same.
    pub seed: u64,
    /// How long it lives, in seconds.
    pub lifetime: Option<u32>,
    pub revoked: bool,
    pub may_sign: bool,
    /// Whether there is a subkey that signs; then the primary key does not.
    pub subkey: Option<Subkey>,
}

/// What is unusual about a subkey.
#[derive(Clone, Copy, Default)]
pub(super) struct Subkey {
    pub revoked: bool,
    /// Whether the subkey says nothing about its primary key.
    pub adopted: bool,
}

impl Default for Spec {
    fn default() -> Self {
        Self {
            seed: 1,
            lifetime: None,
            revoked: false,
            may_sign: true,
            subkey: None,
        }
    }
}

/// A key with its secret.
pub(crate) struct Key {
    secret: SecretKey,
    subkey: Option<pgp::packet::SecretSubkey>,
    public: SignedPublicKey,
}

impl Key {
    /// Makes the usual key.
    pub(super) fn new() -> Self {
        Self::of(Spec::default())
    }

    /// Makes a key.
    pub(super) fn of(spec: Spec) -> Self {
        let secret = secret(spec.seed);
        let public = secret.public_key().clone();
        let mut revocations = Vec::new();
        if spec.revoked {
            let config = config(&secret, SignatureType::KeyRevocation, MADE, vec![]);
            revocations.push(config.sign_key(&secret, &password(), &public).unwrap());
        }
        let user = UserId::from_str(PacketHeaderVersion::New, "Test <test@test.test>").unwrap();
        let mut more = vec![flags(spec.may_sign && spec.subkey.is_none())];
        if let Some(seconds) = spec.lifetime {
            more.push(SubpacketData::KeyExpirationTime(Duration::from_secs(
                seconds,
            )));
        }
        let certification = config(&secret, SignatureType::CertPositive, MADE, more)
            .sign_certification(&secret, &public, &password(), Tag::UserId, &user)
            .unwrap();
        let users = vec![SignedUser::new(user, vec![certification])];
        let details = SignedKeyDetails::new(revocations, vec![], users, vec![]);
        let subkey = spec
            .subkey
            .map(|subkey| bind(&secret, &public, spec, subkey));
        let (subkey, bound) = subkey.unzip();
        Self {
            secret,
            subkey,
            public: SignedPublicKey::new(public, details, bound.into_iter().collect()),
        }
    }

    /// Returns the fingerprint of what signs.
    pub(super) fn fingerprint(&self) -> String {
        match &self.subkey {
            Some(subkey) => format!("{:X}", subkey.fingerprint()),
            None => format!("{:X}", self.secret.fingerprint()),
        }
    }

    /// Returns the public half in armor.
    pub(super) fn armored(&self) -> String {
        let options = ArmorOptions::default();
        self.public.to_armored_string(options).unwrap()
    }

    /// Returns the public half as it is.
    pub(super) fn bytes(&self) -> Vec<u8> {
        self.public.to_bytes().unwrap()
    }

    /// Signs `text` as archives do.
    pub(super) fn sign(&self, text: &str) -> Vec<u8> {
        self.sign_as(text, SIGNED, vec![])
    }

    /// Signs `text` in an unusual way.
    pub(super) fn sign_as(&self, text: &str, created: u32, more: Vec<SubpacketData>) -> Vec<u8> {
        armored(match &self.subkey {
            Some(subkey) => {
                let config = config(subkey, SignatureType::Text, created, more);
                CleartextSignedMessage::new(text, config, subkey, &password())
            }
            None => {
                let config = config(&self.secret, SignatureType::Text, created, more);
                CleartextSignedMessage::new(text, config, &self.secret, &password())
            }
        })
    }

    /// Signs `text` under a hash that can be forged; nothing looks at the signature's numbers then.
    pub(super) fn sign_weakly(&self, text: &str) -> Vec<u8> {
        armored(CleartextSignedMessage::new_many(text, |text| {
            let strong = self.signature(text);
            let mut config = strong.config().unwrap().clone();
            config.hash_alg = HashAlgorithm::Sha1;
            let (hash, numbers) = (strong.signed_hash_value(), strong.signature());
            let weak = Signature::from_config(config, hash.unwrap(), numbers.unwrap().clone());
            Ok(vec![weak?])
        }))
    }

    /// Returns a signature over `text`, for texts that several keys sign.
    pub(super) fn signature(&self, text: &str) -> Signature {
        config(&self.secret, SignatureType::Text, SIGNED, vec![])
            .sign(&self.secret, &password(), text.as_bytes())
            .unwrap()
    }
}

/// Signs `text` with several keys.
pub(super) fn sign_by(keys: &[&Key], text: &str) -> Vec<u8> {
    armored(CleartextSignedMessage::new_many(text, |text| {
        Ok(keys.iter().map(|key| key.signature(text)).collect())
    }))
}

/// Returns a keyring of `keys`.
pub(crate) fn keyring(keys: &[&Key]) -> Keyring {
    let armored: Vec<String> = keys.iter().map(|key| key.armored()).collect();
    let texts: Vec<&str> = armored.iter().map(String::as_str).collect();
    Keyring::from_armor(&texts).unwrap()
}

fn armored(message: pgp::errors::Result<CleartextSignedMessage>) -> Vec<u8> {
    let options = ArmorOptions::default();
    message.unwrap().to_armored_bytes(options).unwrap()
}

fn password() -> Password {
    Password::empty()
}

fn secret(seed: u64) -> SecretKey {
    // Only the numbers of the key are used; what the library signs around them has its own clock.
    SecretKeyParamsBuilder::default()
        .key_type(KeyType::Ed25519Legacy)
        .created_at(Timestamp::from_secs(MADE))
        .primary_user_id("unused".to_owned())
        .build()
        .unwrap()
        .generate(StdRng::seed_from_u64(seed))
        .unwrap()
        .primary_key
}

fn bind(
    primary: &SecretKey,
    public: &PublicKey,
    spec: Spec,
    subkey: Subkey,
) -> (pgp::packet::SecretSubkey, SignedPublicSubKey) {
    let secret = secret(spec.seed + 1000);
    let inner = pgp::packet::PubKeyInner::new(
        secret.version(),
        secret.algorithm(),
        secret.created_at(),
        None,
        secret.public_params().clone(),
    );
    let key = pgp::packet::PublicSubkey::from_inner(inner.unwrap()).unwrap();
    let params = secret.secret_params().clone();
    let secret = pgp::packet::SecretSubkey::new(key.clone(), params).unwrap();
    let mut more = vec![flags(spec.may_sign)];
    if !subkey.adopted {
        let back = config(&secret, SignatureType::KeyBinding, MADE, vec![])
            .sign_primary_key_binding(&secret, &key, &password(), public)
            .unwrap();
        more.push(SubpacketData::EmbeddedSignature(Box::new(back)));
    }
    let binding = config(primary, SignatureType::SubkeyBinding, MADE, more)
        .sign_subkey_binding(primary, public, &password(), &key)
        .unwrap();
    let mut signatures = vec![binding];
    if subkey.revoked {
        let typ = SignatureType::SubkeyRevocation;
        let revocation = config(primary, typ, MADE, vec![])
            .sign_subkey_binding(primary, public, &password(), &key)
            .unwrap();
        signatures.push(revocation);
    }
    (secret, SignedPublicSubKey::new(key, signatures))
}

fn flags(may_sign: bool) -> SubpacketData {
    let mut flags = KeyFlags::default();
    flags.set_certify(true);
    flags.set_sign(may_sign);
    SubpacketData::KeyFlags(flags)
}

fn config(
    key: &impl SigningKey,
    typ: SignatureType,
    created: u32,
    more: Vec<SubpacketData>,
) -> SignatureConfig {
    let mut config = SignatureConfig::v4(typ, key.algorithm(), HashAlgorithm::Sha512);
    let created = SubpacketData::SignatureCreationTime(Timestamp::from_secs(created));
    let issuer = SubpacketData::IssuerFingerprint(key.fingerprint());
    config.hashed_subpackets = [created, issuer]
        .into_iter()
        .chain(more)
        .map(|data| Subpacket::regular(data).unwrap())
        .collect();
    config
}
