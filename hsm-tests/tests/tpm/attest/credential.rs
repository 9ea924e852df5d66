//! MakeCredential: what keystead makes without a TPM, tpm2-tools have a TPM decrypt.

use std::fs;

use hsm_tests::Swtpm;
use keystead::ca::attest::make_credential;

/// The endorsement keys that `swtpm_setup` makes.
const RSA_EK: u32 = 0x8101_0001;
const P384_EK: u32 = 0x8101_0016;

const SECRET: &[u8; 32] = b"the secret that nobody else gets";

/// What tpm2-tools have before a credential and what belongs to it.
const HEADER: [u8; 8] = [0xba, 0xdc, 0xc0, 0xde, 0, 0, 0, 1];

fn tpm_and_ak(ek: &str) -> (Swtpm, Vec<u8>, Vec<u8>) {
    let tpm = Swtpm::new();
    tpm.tool(&format!("createek -Q -G {ek} -c 0x81010009 -u ek.pub"));
    tpm.tool("createak -Q -C 0x81010009 -G ecc -g sha256 -s ecdsa -c ak.ctx -n ak.name");
    let area = public_area(&tpm, "ek.pub");
    let name = fs::read(tpm.folder().join("ak.name")).unwrap();
    (tpm, area, name)
}

/// A TPMT_PUBLIC, out of a file with a TPM2B_PUBLIC.
fn public_area(tpm: &Swtpm, file: &str) -> Vec<u8> {
    fs::read(tpm.folder().join(file)).unwrap()[2..].to_vec()
}

fn write(tpm: &Swtpm, ek_public: &[u8], ak_name: &[u8]) {
    let credential = make_credential(ek_public, ak_name, SECRET).unwrap();
    let mut file = HEADER.to_vec();
    for part in [&credential.blob, &credential.encrypted_secret] {
        file.extend((part.len() as u16).to_be_bytes());
        file.extend(part);
    }
    fs::write(tpm.folder().join("credential"), file).unwrap();
}

/// Has the TPM decrypt what is in the file; `auth` is how the endorsement key is used.
fn activate(tpm: &Swtpm, ek: u32, auth: &str) -> Option<Vec<u8>> {
    tpm.tool("startauthsession --policy-session -S session.ctx");
    tpm.tool("policysecret -Q -S session.ctx -c e");
    let finished = tpm.try_tool(&format!(
        "activatecredential -Q -c ak.ctx -C {ek:#x} -i credential -o secret{auth}"
    ));
    tpm.tool("flushcontext session.ctx");
    tpm.tool("flushcontext -t");
    (finished.code == Some(0)).then(|| fs::read(tpm.folder().join("secret")).unwrap())
}

const BY_POLICY: &str = " -P session:session.ctx";

#[test]
fn low_range_keys_decrypt_it() {
    for algorithm in ["rsa", "ecc"] {
        let (tpm, ek, ak) = tpm_and_ak(algorithm);
        write(&tpm, &ek, &ak);
        let secret = activate(&tpm, 0x8101_0009, BY_POLICY);
        assert_eq!(secret.as_deref(), Some(&SECRET[..]), "{algorithm}");
    }
}

#[test]
fn swtpms_own_keys_decrypt_it() {
    let tpm = Swtpm::certified();
    for (handle, auth) in [(RSA_EK, BY_POLICY), (P384_EK, "")] {
        tpm.tool(&format!("readpublic -Q -c {handle:#x} -o ek.pub"));
        tpm.tool(&format!(
            "createak -Q -C {handle:#x} -G ecc -g sha256 -s ecdsa -c ak.ctx -n ak.name"
        ));
        let name = fs::read(tpm.folder().join("ak.name")).unwrap();
        write(&tpm, &public_area(&tpm, "ek.pub"), &name);
        let secret = activate(&tpm, handle, auth);
        assert_eq!(secret.as_deref(), Some(&SECRET[..]), "{handle:#x}");
    }
}

#[test]
fn it_is_for_one_tpm_and_one_attestation_key() {
    let (tpm, ek, ak) = tpm_and_ak("ecc");
    let (other, other_ek, _) = tpm_and_ak("ecc");
    write(&tpm, &other_ek, &ak);
    assert_eq!(activate(&tpm, 0x8101_0009, BY_POLICY), None);
    let mut other_name = ak.clone();
    other_name[2] ^= 1;
    write(&tpm, &ek, &other_name);
    assert_eq!(activate(&tpm, 0x8101_0009, BY_POLICY), None);
    write(&other, &ek, &ak);
    assert_eq!(activate(&other, 0x8101_0009, BY_POLICY), None);
}

#[test]
fn a_tpms_tool_makes_the_same_of_its_answer() {
    // The lengths of what tpm2-tools make: whatever is in it is random.
    for algorithm in ["rsa", "ecc"] {
        let (tpm, ek, ak) = tpm_and_ak(algorithm);
        write(&tpm, &ek, &ak);
        let ours = fs::read(tpm.folder().join("credential")).unwrap();
        fs::write(tpm.folder().join("given"), SECRET).unwrap();
        let name: String = ak.iter().map(|byte| format!("{byte:02x}")).collect();
        tpm.tool(&format!(
            "makecredential -Q -T none -u ek.pub -s given -n {name} -o theirs"
        ));
        let theirs = fs::read(tpm.folder().join("theirs")).unwrap();
        assert_eq!(ours.len(), theirs.len(), "{algorithm}");
        assert_eq!(ours[..12], theirs[..12], "{algorithm}");
    }
}
