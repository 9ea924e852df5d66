//! Chains: every link proven, whatever the CA signs with.

use std::path::PathBuf;

use keystead::backend::chain::{ChainError, Stray, build, stray};
use keystead::backend::file::{FileIdentity, Warning, open, read_certificates};
use keystead::backend::signature::VerifyError;

use super::{error, never_asked, public_key};
use crate::support::openssl::{CA, LEAF, P256, Workshop};

const P384: &str = "-algorithm EC -pkeyopt ec_paramgen_curve:P-384";
const P521: &str = "-algorithm EC -pkeyopt ec_paramgen_curve:P-521";
const RSA: &str = "-algorithm RSA -pkeyopt rsa_keygen_bits:2048";
const PSS: &str = "-sigopt rsa_padding_mode:pss";
const DIGEST_SALT: &str = "-sigopt rsa_pss_saltlen:digest";

/// Certificates made by OpenSSL.
struct Pki {
    workshop: Workshop,
}

impl Pki {
    /// One for each link: its name, key, issuer, and how the issuer signs. `hub` is the leaf.
    fn new(links: &[(&str, &str, &str, &str)]) -> Self {
        let workshop = Workshop::new();
        for (name, key, issuer, sign) in links {
            workshop.key(name, key);
            let extensions = if *name == "hub" { LEAF } else { CA };
            workshop.certificate(name, issuer, sign, extensions);
        }
        Self { workshop }
    }

    fn der(&self, name: &str) -> Vec<u8> {
        let [der] = &read_certificates(&self.workshop.path(format!("{name}.pem"))).unwrap()[..]
        else {
            panic!("{name}.pem holds one certificate");
        };
        der.clone()
    }

    fn ders(&self, names: &[&str]) -> Vec<Vec<u8>> {
        names.iter().map(|name| self.der(name)).collect()
    }

    /// A file with these certificates (and keys).
    fn bundle(&self, file: &str, parts: &[&str]) -> PathBuf {
        let contents: Vec<u8> = parts
            .iter()
            .flat_map(|part| self.workshop.read(part))
            .collect();
        self.workshop.write(file, contents)
    }

    fn build(&self, names: &[&str]) -> Result<Vec<Vec<u8>>, ChainError> {
        build(&self.ders(names), &public_key(&self.workshop, "hub.key"))
    }
}

/// A CA with such a key, signing so, is proven to be the issuer, and only of what it signed.
fn check_link(key: &str, sign: &str) {
    let pki = Pki::new(&[
        ("root", P256, "root", ""),
        ("inter", key, "root", ""),
        ("hub", P256, "inter", sign),
    ]);
    assert_eq!(
        pki.build(&["root", "inter", "hub"]),
        Ok(pki.ders(&["hub", "inter"])),
        "{key} {sign}"
    );
    // The signature is at the end.
    let mut changed = pki.der("hub");
    *changed.last_mut().unwrap() ^= 1;
    let public = public_key(&pki.workshop, "hub.key");
    assert_eq!(
        build(&[changed.clone(), pki.der("inter")], &public),
        Ok(vec![changed]),
        "{key} {sign}"
    );
}

#[test]
fn links_by_rsa() {
    for sign in ["-sha256", "-sha384", "-sha512"] {
        check_link(RSA, sign);
    }
}

#[test]
fn links_by_rsa_pss() {
    check_link("-algorithm RSA-PSS", DIGEST_SALT);
    for hash in ["-sha256", "-sha384", "-sha512"] {
        check_link(RSA, &format!("{PSS} {hash} {DIGEST_SALT}"));
    }
}

#[test]
fn a_link_by_rsa_pss_with_another_salt_is_told_apart() {
    let sign = format!("{PSS} -sha384 -sigopt rsa_pss_saltlen:20");
    let pki = Pki::new(&[
        ("root", P256, "root", ""),
        ("inter", RSA, "root", ""),
        ("hub", P256, "inter", &sign),
    ]);
    let chain = pki.build(&["inter", "hub"]).unwrap();
    assert_eq!(chain, pki.ders(&["hub"]));
    let why = stray(&pki.der("inter"), &chain)
        .unwrap()
        .unwrap()
        .to_string();
    assert!(
        why.contains("salt has 20 bytes") && why.contains("saltlen:digest"),
        "{why}"
    );
}

#[test]
fn links_by_ecdsa() {
    for curve in [P256, P384, P521] {
        for sign in ["-sha256", "-sha384", "-sha512"] {
            check_link(curve, sign);
        }
    }
}

#[test]
fn any_order_and_nothing_that_does_not_belong() {
    let pki = Pki::new(&[
        ("root", P256, "root", ""),
        ("upper", P384, "root", ""),
        ("lower", RSA, "upper", ""),
        ("hub", P256, "lower", ""),
        ("other", P256, "root", ""),
    ]);
    let chain = Ok(pki.ders(&["hub", "lower", "upper"]));
    for order in [
        ["hub", "lower", "upper", "root", "other"],
        ["root", "upper", "lower", "hub", "other"],
        ["other", "upper", "hub", "root", "lower"],
    ] {
        assert_eq!(pki.build(&order), chain);
    }
    assert_eq!(pki.build(&["hub", "hub", "lower", "lower", "upper"]), chain);
    // A gap ends it.
    assert_eq!(pki.build(&["hub", "upper"]), Ok(pki.ders(&["hub"])));
    assert_eq!(pki.build(&["lower", "upper"]), Err(ChainError::NoLeaf));
}

#[test]
fn a_name_is_no_proof() {
    let pki = Pki::new(&[
        ("root", P256, "root", ""),
        ("inter", P256, "root", ""),
        ("hub", P256, "inter", ""),
    ]);
    let real = pki.ders(&["hub", "inter"]);
    // Another CA of the same name.
    pki.workshop.key("inter", P256);
    pki.workshop.certificate("inter", "root", "", CA);
    let false_one = pki.der("inter");
    let public = public_key(&pki.workshop, "hub.key");
    let hub = [real[0].clone()];
    let mixed = [real[0].clone(), false_one.clone(), real[1].clone()];
    assert_eq!(build(&mixed[..2], &public).unwrap(), hub);
    assert_eq!(build(&mixed, &public).unwrap(), real);
    assert_eq!(
        stray(&false_one, &hub),
        Ok(Some(Stray::NotTheSigner(VerifyError::Invalid)))
    );
    assert_eq!(stray(&pki.der("root"), &hub), Ok(Some(Stray::Unrelated)));
    assert_eq!(stray(&pki.der("root"), &real), Ok(None));
    assert_eq!(stray(&real[1], &real), Ok(None));
}

#[test]
fn a_self_signed_leaf_stands_alone() {
    let pki = Pki::new(&[("hub", P256, "hub", "")]);
    assert_eq!(pki.build(&["hub"]), Ok(pki.ders(&["hub"])));
}

#[test]
fn a_new_key_of_a_root_signed_by_the_old_one_is_sent() {
    let pki = Pki::new(&[("root", P256, "root", "")]);
    let workshop = &pki.workshop;
    workshop.openssl("pkey -in root.key -out old.key");
    let old = pki.bundle("old.pem", &["root.pem"]);
    workshop.key("root", P256);
    let old_signs = "-CA old.pem -CAkey old.key -CAcreateserial";
    workshop.openssl("req -new -key root.key -subj /CN=root -out root.csr");
    workshop.openssl(&format!(
        "x509 -req -in root.csr {old_signs} -extfile root.cnf -out root.pem"
    ));
    workshop.key("hub", P256);
    workshop.certificate("hub", "root", "", LEAF);
    assert!(old.exists());
    assert_eq!(
        pki.build(&["hub", "old", "root"]),
        Ok(pki.ders(&["hub", "root"]))
    );
}

#[test]
fn at_most_five_beside_the_leaf() {
    let names = ["root", "1", "2", "3", "4", "5", "6"];
    let mut links: Vec<_> = names
        .windows(2)
        .map(|pair| (pair[1], P256, pair[0], ""))
        .collect();
    links.insert(0, ("root", P256, "root", ""));
    links.push(("hub", P256, "6", ""));
    let pki = Pki::new(&links);
    assert_eq!(
        pki.build(&["hub", "1", "2", "3", "4", "5", "6"]),
        Err(ChainError::TooLong)
    );
    assert_eq!(
        pki.build(&["hub", "2", "3", "4", "5", "6"]),
        Ok(pki.ders(&["hub", "6", "5", "4", "3", "2"]))
    );
}

#[test]
fn of_two_certificates_for_a_key_the_newer_is_the_leaf() {
    let pki = Pki::new(&[("root", P256, "root", ""), ("hub", P256, "root", "")]);
    let mut before = pki.der("hub");
    // The first of the two dates in UTCTime; the CA's signature over the leaf is not looked at.
    let date = before
        .windows(2)
        .position(|window| window == [0x17, 13])
        .unwrap();
    before[date + 2..date + 6].copy_from_slice(b"1901");
    let public = public_key(&pki.workshop, "hub.key");
    let now = pki.der("hub");
    for both in [[before.clone(), now.clone()], [now.clone(), before]] {
        assert_eq!(build(&both, &public), Ok(vec![now.clone()]));
    }
}

#[test]
fn a_whole_identity_from_three_files() {
    let pki = Pki::new(&[
        ("root", P256, "root", ""),
        ("upper", P256, "root", ""),
        ("lower", P256, "upper", ""),
        ("hub", P256, "lower", ""),
        ("other", P256, "root", ""),
    ]);
    let certificate = pki.workshop.path("hub.pem");
    let key = pki.workshop.path("hub.key");
    let intermediates = pki.bundle(
        "ca.pem",
        &["root.pem", "other.pem", "upper.pem", "lower.pem"],
    );
    let files = FileIdentity {
        certificate: &certificate,
        private_key: Some(&key),
        intermediates: Some(&intermediates),
    };
    let (identity, warnings) = open(&files, &mut never_asked).unwrap();
    assert_eq!(*identity.chain(), pki.ders(&["hub", "lower", "upper"]));
    assert_eq!(
        warnings,
        [Warning::Stray {
            path: intermediates.clone(),
            number: 2,
            stray: Stray::Unrelated
        }]
    );
    assert!(
        warnings[0]
            .to_string()
            .contains("ca.pem: certificate 2 is not sent")
    );

    let wrong_key = pki.workshop.path("other.key");
    let files = FileIdentity {
        private_key: Some(&wrong_key),
        intermediates: None,
        ..files
    };
    let sentence = error(&certificate, open(&files, &mut never_asked));
    assert_eq!(sentence, "no certificate in it is for the private key");
}

#[test]
fn one_file_for_everything() {
    let pki = Pki::new(&[
        ("root", P256, "root", ""),
        ("inter", P256, "root", ""),
        ("hub", P256, "inter", ""),
    ]);
    let all = pki.bundle("all.pem", &["root.pem", "hub.key", "inter.pem", "hub.pem"]);
    let files = FileIdentity {
        certificate: &all,
        private_key: None,
        intermediates: None,
    };
    let (identity, _) = open(&files, &mut never_asked).unwrap();
    assert_eq!(*identity.chain(), pki.ders(&["hub", "inter"]));
}
