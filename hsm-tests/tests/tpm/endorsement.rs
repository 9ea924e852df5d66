//! The endorsement key, and its certificate.

use std::fs;

use hsm_tests::Swtpm;
use keystead::backend::tpm::{
    AuthProblem, EkTemplate, EndorsementKey, Local, Object, OpenKey, SaltKey, TpmError,
    endorsement_key,
};
use keystead::core::key::Scheme;
use keystead::core::x509::{Certificate, PublicKeyInfo};

use crate::operator::Values;
use crate::support::*;

fn ek(tpm: &Swtpm, template: Option<EkTemplate>) -> Result<EndorsementKey, TpmError> {
    endorsement_key(&mut Local::new(tpm.access()), template, &mut Values::none())
}

fn is_for(certificate: &[u8], public_key: &[u8]) -> bool {
    let certificate = Certificate::from_der(certificate).unwrap();
    let key = |info| PublicKeyInfo::from_der(info).unwrap().key;
    key(certificate.public_key) == key(public_key)
}

#[test]
fn its_certificate_is_for_the_key() {
    let tpm = Swtpm::certified();
    let first = ek(&tpm, None).unwrap();
    assert_eq!(first.template, EkTemplate::H3);
    for (template, handle) in [(EkTemplate::H3, 0x8101_0016), (EkTemplate::L1, 0x8101_0001)] {
        let key = ek(&tpm, Some(template)).unwrap();
        assert_eq!(key.handle, handle);
        assert!(is_for(key.certificate.as_deref().unwrap(), &key.public_key));
        assert!(key.chain.is_empty());
        // tpm2-tools read the same area, with its length before it.
        tpm.tool(&format!(
            "readpublic -Q -c {handle:#x} -o ek.pub -n ek.name"
        ));
        let area = fs::read(tpm.folder().join("ek.pub")).unwrap();
        assert_eq!(area[2..], key.public_area);
        assert_eq!(fs::read(tpm.folder().join("ek.name")).unwrap(), key.name);
    }
    tpm.assert_nothing_left();
}

#[test]
fn where_it_is_not_kept_it_is_made_again() {
    let tpm = Swtpm::certified();
    let kept = [EkTemplate::H3, EkTemplate::L1].map(|template| ek(&tpm, Some(template)).unwrap());
    for handle in [0x8101_0016_u32, 0x8101_0001] {
        tpm.tool(&format!("evictcontrol -Q -C o -c {handle:#x}"));
    }
    for kept in kept {
        let made = ek(&tpm, Some(kept.template)).unwrap();
        let handle = 0x4000_000b;
        assert_eq!(made, EndorsementKey { handle, ..kept });
        tpm.assert_nothing_left();
    }
}

#[test]
fn a_tpm_without_certificates_has_one_all_the_same() {
    let tpm = Swtpm::new();
    let key = ek(&tpm, None).unwrap();
    assert_eq!((key.template, key.certificate), (EkTemplate::L2, None));
    tpm.tool("createek -Q -c ek.ctx -G ecc -u ek.pub");
    tpm.tool("flushcontext -t");
    let area = fs::read(tpm.folder().join("ek.pub")).unwrap();
    assert_eq!(area[2..], key.public_area);
    for template in [EkTemplate::H1, EkTemplate::H2] {
        let high = ek(&tpm, Some(template)).unwrap();
        assert_ne!(high.public_key, key.public_key);
    }
    tpm.assert_nothing_left();
}

#[test]
fn a_certificate_of_another_key_is_refused() {
    let tpm = Swtpm::certified();
    tpm.tool("nvread -C o -o rsa.der 0x1c00002");
    tpm.tool("evictcontrol -Q -C o -c 0x81010016");
    // The certificate that is at the place of the P-384 key's is the RSA key's.
    tpm.tool("nvundefine -C p 0x1c00016");
    let len = fs::metadata(tpm.folder().join("rsa.der")).unwrap().len();
    tpm.tool(&format!(
        "nvdefine -C o -s {len} -a ownerread|authread|ownerwrite 0x1c00016"
    ));
    tpm.tool("nvwrite -C o -i rsa.der 0x1c00016");
    let error = ek(&tpm, Some(EkTemplate::H3)).unwrap_err();
    assert!(error.to_string().contains("is another key's"), "{error}");
    tpm.assert_nothing_left();
}

#[test]
fn certificates_may_be_padded_and_have_others_above_them() {
    let tpm = Swtpm::certified();
    let before = ek(&tpm, Some(EkTemplate::L1)).unwrap();
    tpm.tool("nvread -C o -o rsa.der 0x1c00002");
    let file = tpm.folder().join("rsa.der");
    let der = fs::read(&file).unwrap();
    let mut padded = der.clone();
    padded.extend([0xff; 300]);
    fs::write(&file, &padded).unwrap();
    tpm.tool("nvundefine -C p 0x1c00002");
    for (index, content) in [
        (0x1c0_0002_u32, &padded),
        (0x1c0_0100, &der),
        (0x1c0_0101, &der),
    ] {
        fs::write(&file, content).unwrap();
        let len = content.len();
        tpm.tool(&format!(
            "nvdefine -C o -s {len} -a ownerread|authread|ownerwrite {index:#x}"
        ));
        tpm.tool(&format!("nvwrite -C o -i rsa.der {index:#x}"));
    }
    let after = ek(&tpm, Some(EkTemplate::L1)).unwrap();
    assert_eq!(after.certificate, before.certificate);
    assert_eq!(after.chain, [der.clone(), der]);
}

#[test]
fn the_endorsement_hierarchy_may_have_a_password() {
    let tpm = Swtpm::new();
    tpm.tool("changeauth -c endorsement secret");
    let with = |values: &mut Values| {
        let key = endorsement_key(&mut Local::new(tpm.access()), None, values);
        key.map_err(|error| match error {
            TpmError::Auth {
                of: Object::Endorsement,
                problem,
                ..
            } => problem,
            other => panic!("{other}"),
        })
    };
    assert_eq!(with(&mut Values::none()), Err(AuthProblem::Needed));
    let wrong = with(&mut Values::none().and(Object::Endorsement, "wrong"));
    assert_eq!(wrong, Err(AuthProblem::Refused { counts: false }));
    let again = with(&mut Values::none().and(Object::Endorsement, "wrong"));
    assert!(matches!(again, Err(AuthProblem::RefusedBefore(_))));
    with(&mut Values::none().and(Object::Endorsement, "secret")).unwrap();
    with(&mut Values::typed(&["wrong", "secret"])).unwrap();
    tpm.assert_nothing_left();
}

#[test]
fn sessions_are_salted_to_it() {
    let tpm = Swtpm::certified();
    tpm.make_storage_root();
    tpm.make_key("ecc256:null:null", "|noda|sign", "keypin", HANDLE);
    for template in [EkTemplate::H3, EkTemplate::L1] {
        let EndorsementKey {
            handle, mut name, ..
        } = ek(&tpm, Some(template)).unwrap();
        let salted = |name: &[u8]| OpenKey {
            salt: Some(SaltKey {
                handle,
                name: name.to_vec(),
            }),
            ..request()
        };
        let mut opened = open(&tpm.access(), &salted(&name), Some("keypin")).unwrap();
        signs(&mut opened.signer, Scheme::EcdsaSha256);
        drop(opened);
        // Another TPM's, or nobody's.
        name[7] ^= 1;
        let error = open(&tpm.access(), &salted(&name), Some("keypin"));
        let error = error.err().unwrap().to_string();
        assert!(
            error.contains("has not the name that was recorded"),
            "{error}"
        );
        tpm.assert_nothing_left();
    }
}
