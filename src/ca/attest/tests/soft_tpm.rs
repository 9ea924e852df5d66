//! A TPM as far as attestation needs one, which does what it is told: also what a TPM would not do.

use std::vec;
use std::vec::Vec;

use aws_lc_rs::agreement::{self, ECDH_P256, PrivateKey as EcdhKey, UnparsedPublicKey};
use aws_lc_rs::cipher::{AES_128, DecryptingKey, DecryptionContext, UnboundCipherKey};
use aws_lc_rs::{hmac, iv};
use der::asn1::{OctetString, UintRef};
use der::oid::{AssociatedOid, ObjectIdentifier};
use der::{Decode as _, Encode, Reader as _, Sequence, SliceReader};
use x509_cert::Version;
use x509_cert::ext::pkix::name::GeneralName;
use x509_cert::ext::pkix::{BasicConstraints, ExtendedKeyUsage, SubjectAltName};
use x509_cert::ext::{Extension, Extensions};
use x509_cert::name::Name;
use x509_cert::serial_number::SerialNumber;
use x509_cert::spki::{AlgorithmIdentifierOwned, SubjectPublicKeyInfoOwned};
use x509_cert::time::Validity as Asn1Validity;

use crate::backend::BoxedSigner;
use crate::backend::algorithm::Hash;
use crate::backend::attestation::{Answer, Challenge, Request, nonce};
use crate::backend::public_key;
use crate::ca::attest::credential::{kdf_a, kdf_e};
use crate::ca::attest::structure::Attributes;
use crate::ca::validity::asn1_time;
use crate::ca::{Authority, KeyType, PrivateKey, Subject, Validity};
use crate::core::key::{Scheme, Signer as _};
use crate::core::time::UnixTime;
use crate::core::x509::{PublicKeyInfo, oid};
use crate::host::pkix::signed::{SignatureAlgorithm, sign};

pub const NOW: UnixTime = UnixTime::from_secs(1_800_000_000);
/// When the certificates of endorsement keys end, in seconds after [`NOW`].
pub const EK_LIFETIME: i64 = 3600;

const BOUND: u32 =
    Attributes::FIXED_TPM | Attributes::FIXED_PARENT | Attributes::SENSITIVE_DATA_ORIGIN;

/// A maker of TPMs.
pub struct Maker {
    pub root: Vec<u8>,
    key: PrivateKey,
    name: Name,
}

impl Maker {
    pub fn new(name: &str) -> Self {
        let key = PrivateKey::generate(KeyType::P256).unwrap();
        let subject: Subject = name.parse().unwrap();
        let validity = Validity {
            not_before: NOW.offset_by(-100_000),
            not_after: NOW.offset_by(1_000_000),
        };
        let root = Authority::new_root(subject.clone(), &key, 1, validity).unwrap();
        Self {
            root: root.certificate().to_vec(),
            key,
            name: subject.name().clone(),
        }
    }

    /// A certificate for an endorsement key, with these purposes, valid for [`EK_LIFETIME`].
    pub fn certify(&self, public_key: &[u8], purposes: Option<&str>, ca: bool) -> Vec<u8> {
        let mut signer = self.key.signer().unwrap();
        let algorithm = SignatureAlgorithm::from(signer.key());
        let model: Subject = "OU=model".parse().unwrap();
        let mut extensions = vec![
            extension(&SubjectAltName(vec![GeneralName::DirectoryName(
                model.name().clone(),
            )])),
            extension(&BasicConstraints {
                ca,
                path_len_constraint: None,
            }),
        ];
        if let Some(purpose) = purposes {
            let purpose = ObjectIdentifier::new_unwrap(purpose);
            extensions.push(extension(&ExtendedKeyUsage(vec![purpose])));
        }
        let content = Certificate {
            version: Version::V3,
            serial_number: SerialNumber::new(&[7]).unwrap(),
            signature: algorithm.identifier.clone(),
            issuer: self.name.clone(),
            validity: Asn1Validity::new(
                asn1_time(NOW.offset_by(-3600)).unwrap(),
                asn1_time(NOW.offset_by(EK_LIFETIME)).unwrap(),
            ),
            // Endorsement keys' certificates name nobody.
            subject: Name::default(),
            public_key: SubjectPublicKeyInfoOwned::from_der(public_key).unwrap(),
            extensions,
        };
        sign(&content, &algorithm, &mut signer).unwrap()
    }
}

fn extension<T: AssociatedOid + Encode>(value: &T) -> Extension {
    Extension {
        extn_id: T::OID,
        critical: true,
        extn_value: OctetString::new(value.to_der().unwrap()).unwrap(),
    }
}

#[derive(Sequence)]
struct Certificate {
    #[asn1(context_specific = "0", tag_mode = "EXPLICIT")]
    version: Version,
    serial_number: SerialNumber,
    signature: AlgorithmIdentifierOwned,
    issuer: Name,
    validity: Asn1Validity,
    subject: Name,
    public_key: SubjectPublicKeyInfoOwned,
    #[asn1(context_specific = "3", tag_mode = "EXPLICIT")]
    extensions: Extensions,
}

/// A TPM, and a key in it.
pub struct SoftTpm {
    ek: EcdhKey,
    ak: BoxedSigner,
    pub key: BoxedSigner,
    pub request: Request,
}

/// What a statement says.
pub struct Statement {
    pub magic: u32,
    pub kind: u16,
    pub nonce: Vec<u8>,
    pub name: Vec<u8>,
}

impl SoftTpm {
    /// With an endorsement key certified by `maker`.
    pub fn new(maker: &Maker) -> Self {
        let signer = || {
            PrivateKey::generate(KeyType::P256)
                .unwrap()
                .signer()
                .unwrap()
        };
        let ek = EcdhKey::generate(&ECDH_P256).unwrap();
        let ek_point = ek.compute_public_key().unwrap();
        let ek_key = public_key::ec(oid::P256, ek_point.as_ref()).unwrap();
        let (ak, key) = (signer(), signer());
        let request = Request {
            ek_certificate: maker.certify(&ek_key, Some("2.23.133.8.1"), false),
            ek_chain: Vec::new(),
            ek_public: storage_area(
                BOUND | Attributes::RESTRICTED | Attributes::DECRYPT,
                &ek_key,
            ),
            ak_public: signing_area(
                BOUND | Attributes::RESTRICTED | Attributes::SIGN,
                ak.public_key(),
            ),
            key_public: signing_area(BOUND | Attributes::SIGN, key.public_key()),
        };
        Self {
            ek,
            ak,
            key,
            request,
        }
    }

    /// The secret of a challenge; `None` if it is for another TPM.
    pub fn activate(&self, challenge: &Challenge) -> Option<Vec<u8>> {
        let encrypted = &challenge.encrypted_secret;
        let (x, y) = (&encrypted[2..34], &encrypted[36..68]);
        let theirs = [&[4], x, y].concat();
        let own = self.ek.compute_public_key().unwrap();
        let seed = agreement::agree(
            &self.ek,
            UnparsedPublicKey::new(&ECDH_P256, &theirs),
            (),
            |z| Ok(kdf_e(Hash::Sha256, z, b"IDENTITY", x, &own.as_ref()[1..33])),
        )
        .ok()?;
        let ak_name = name(&self.request.ak_public);
        let (integrity, identity) = challenge.credential[2..].split_at(32);
        let key = kdf_a(Hash::Sha256, &seed, b"INTEGRITY", &[], 256);
        let key = hmac::Key::new(hmac::HMAC_SHA256, &key);
        let authenticated = [identity, &ak_name].concat();
        hmac::verify(&key, &authenticated, integrity).ok()?;
        let key = kdf_a(Hash::Sha256, &seed, b"STORAGE", &ak_name, 128);
        let mut identity = identity.to_vec();
        let key = UnboundCipherKey::new(&AES_128, &key).unwrap();
        let context = DecryptionContext::Iv128(iv::FixedLength::from([0; 16]));
        DecryptingKey::cfb128(key)
            .unwrap()
            .decrypt(&mut identity, context)
            .unwrap();
        Some(identity.split_off(2))
    }

    /// Answers a challenge; `change` is done to the statement before it is signed.
    pub fn answer(&mut self, challenge: &Challenge, change: impl FnOnce(&mut Statement)) -> Answer {
        let secret = self.activate(challenge).expect("it is this TPM's");
        let mut statement = Statement {
            magic: 0xff54_4347,
            kind: 0x8017,
            nonce: nonce(&secret, &challenge.id).to_vec(),
            name: name(&self.request.key_public),
        };
        change(&mut statement);
        self.sign(&challenge.id, &statement)
    }

    fn sign(&mut self, id: &[u8], statement: &Statement) -> Answer {
        let mut bytes = statement.magic.to_be_bytes().to_vec();
        bytes.extend(statement.kind.to_be_bytes());
        sized(&mut bytes, &name(&self.request.ak_public));
        sized(&mut bytes, &statement.nonce);
        bytes.extend([0; 25]);
        sized(&mut bytes, &statement.name);
        sized(&mut bytes, &statement.name);
        let mut out = [0; 72];
        let len = self.ak.sign(Scheme::EcdsaSha256, &bytes, &mut out).unwrap();
        let mut reader = SliceReader::new(&out[..len]).unwrap();
        let (r, s) = reader
            .sequence(|numbers| {
                Ok::<_, der::Error>((UintRef::decode(numbers)?, UintRef::decode(numbers)?))
            })
            .unwrap();
        // ECDSA with SHA-256.
        let mut signature = vec![0, 0x18, 0, 0x0b];
        sized(&mut signature, r.as_bytes());
        sized(&mut signature, s.as_bytes());
        Answer {
            id: id.to_vec(),
            statement: bytes,
            signature,
        }
    }
}

/// The name of a public area with SHA-256.
pub fn name(area: &[u8]) -> Vec<u8> {
    [&[0, 0x0b][..], &Hash::Sha256.digest(area)].concat()
}

/// The same public area with an attribute more, or less.
pub fn toggled(area: &[u8], attribute: u32) -> Vec<u8> {
    let mut area = area.to_vec();
    let attributes = u32::from_be_bytes([area[4], area[5], area[6], area[7]]) ^ attribute;
    area[4..8].copy_from_slice(&attributes.to_be_bytes());
    area
}

/// A P-256 key with AES-128 in CFB mode and no scheme.
fn storage_area(attributes: u32, public_key: &[u8]) -> Vec<u8> {
    area(attributes, &[0, 6, 0, 128, 0, 0x43, 0, 0x10], public_key)
}

/// A P-256 key that signs by ECDSA with SHA-256.
pub fn signing_area(attributes: u32, public_key: &[u8]) -> Vec<u8> {
    area(attributes, &[0, 0x10, 0, 0x18, 0, 0x0b], public_key)
}

fn area(attributes: u32, ciphers: &[u8], public_key: &[u8]) -> Vec<u8> {
    let mut area = vec![0, 0x23, 0, 0x0b];
    area.extend(attributes.to_be_bytes());
    sized(&mut area, &[]);
    area.extend(ciphers);
    // P-256, no KDF.
    area.extend([0, 3, 0, 0x10]);
    let point = PublicKeyInfo::from_der(public_key).unwrap().key;
    sized(&mut area, &point[1..33]);
    sized(&mut area, &point[33..]);
    area
}

fn sized(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend((bytes.len() as u16).to_be_bytes());
    out.extend(bytes);
}
