//! Keys that are used by a policy, which their file says.

use hsm_tests::Swtpm;
use keystead::backend::tpm::TpmError;
use sha2::{Digest as _, Sha256};

use super::layouts::Layout;
use super::{NONE, Stored, sign};

const ATTRIBUTES: &str = "fixedtpm|fixedparent|sensitivedataorigin|sign|noda";

/// TPM2_PolicyAuthValue, TPM2_PolicyCommandCode, TPM2_PolicyOR, TPM2_PolicyPCR, TPM2_PolicyPassword.
const AUTH_VALUE: u32 = 0x16b;
const COMMAND_CODE: u32 = 0x16c;
const OR: u32 = 0x171;
const PCR: u32 = 0x17f;
const PASSWORD: u32 = 0x18c;

const KEY_PIN: Stored = Stored {
    key: Some("keypin"),
    ..NONE
};

/// A TPM with a storage root key.
fn tpm() -> Swtpm {
    let tpm = Swtpm::new();
    tpm.make_storage_root();
    tpm
}

/// Makes a key, in `k.pub` and `k.priv`, with the policy that these tools lead to: `policypcr -l sha256:7`.
#[track_caller]
fn make(tpm: &Swtpm, hash: &str, tools: &[&str], more: &str) {
    tpm.tool(&format!("startauthsession -S session.ctx -g {hash}"));
    for tool in tools {
        tpm.tool(&format!("{tool} -Q -S session.ctx -L policy"));
    }
    tpm.tool("flushcontext session.ctx");
    tpm.tool(&format!(
        "create -Q -C 0x81000001 -g {hash} -G ecc256:null:null -a {ATTRIBUTES} -L policy -u k.pub -r k.priv{more}"
    ));
}

fn layout() -> Layout {
    Layout::loadable().field("emptyAuth", "EXPLICIT:0,BOOLEAN:FALSE")
}

#[track_caller]
fn sign_by(tpm: &Swtpm, policy: &[(u32, Vec<u8>)], stored: Stored) -> Result<(), TpmError> {
    let layout = layout().policy(policy);
    let layout = layout.field("parent", "INTEGER:0x81000001").key(tpm);
    sign(tpm, &layout.write(tpm), stored)
}

/// The selection of PCRs 7 and 16 in the SHA-256 bank, and the hash of their values.
fn pcrs(tpm: &Swtpm) -> (Vec<u8>, Vec<u8>) {
    tpm.tool("pcrread -Q sha256:7,16 -o values");
    let values = std::fs::read(tpm.folder().join("values")).expect("they were read");
    assert_eq!(values.len(), 64);
    let selection = [0, 0, 0, 1, 0, 0x0b, 3, 0x80, 0, 0x01];
    (selection.into(), Sha256::digest(values).to_vec())
}

#[test]
fn pcrs_have_to_be_as_they_were() {
    let tpm = tpm();
    make(&tpm, "sha256", &["policypcr -l sha256:7,16"], "");
    let (selection, digest) = pcrs(&tpm);
    // As IBM's programs write it, and as the draft has it.
    let hashed = vec![(PCR, [&*selection, &digest].concat())];
    sign_by(&tpm, &hashed, NONE).unwrap();
    let ordered = vec![(PCR, [&[0, 32], &*digest, &selection].concat())];
    sign_by(&tpm, &ordered, NONE).unwrap();
    tpm.tool(&format!("pcrextend 16:sha256={}", "ab".repeat(32)));
    for policy in [&hashed, &ordered] {
        let error = sign_by(&tpm, policy, NONE).unwrap_err();
        let says = "its policy does not let it be used now: PCRs sha256:7,16 have other values";
        assert!(error.to_string().contains(says), "{error}");
        assert!(error.remedy().unwrap().contains("make a new key"));
    }
    tpm.tool("pcrreset 16");
    sign_by(&tpm, &hashed, NONE).unwrap();
}

#[test]
fn auth_values_are_given_in_a_policy() {
    let tpm = tpm();
    let sign_code = 0x15d_u32.to_be_bytes().to_vec();
    for (tools, policy) in [
        (vec!["policyauthvalue"], vec![(AUTH_VALUE, vec![])]),
        (vec!["policypassword"], vec![(PASSWORD, vec![])]),
        (
            vec!["policycommandcode TPM2_CC_Sign", "policyauthvalue"],
            vec![(COMMAND_CODE, sign_code), (AUTH_VALUE, vec![])],
        ),
    ] {
        make(&tpm, "sha256", &tools, " -p keypin");
        sign_by(&tpm, &policy, KEY_PIN).unwrap_or_else(|error| panic!("{tools:?}: {error}"));
    }
}

#[test]
fn policies_have_the_hash_of_the_keys_name() {
    let tpm = tpm();
    let tools = ["policypcr -l sha256:7,16", "policyauthvalue"];
    make(&tpm, "sha384", &tools, " -p keypin");
    let (selection, _) = pcrs(&tpm);
    let values = std::fs::read(tpm.folder().join("values")).unwrap();
    let digest = sha2::Sha384::digest(values).to_vec();
    let policy = [(PCR, [&*selection, &digest].concat()), (AUTH_VALUE, vec![])];
    let signed = sign_by(&tpm, &policy, KEY_PIN);
    match crate::IS_DIRECT {
        true => assert!(signed.unwrap_err().to_string().contains("takes libtss2")),
        false => signed.unwrap(),
    }
}

#[test]
fn what_cannot_be_carried_out_is_refused_by_name() {
    let tpm = tpm();
    make(&tpm, "sha256", &["policyauthvalue"], " -p keypin");
    for (policy, says) in [
        (
            vec![(OR, vec![])],
            "policy: TPM2_PolicyOR cannot be carried out",
        ),
        (
            vec![(0x123, vec![])],
            "policy: command 0x123 cannot be carried out",
        ),
        (
            vec![(PCR, vec![1])],
            "policy: TPM2_PolicyPCR has no such parameters",
        ),
        (
            vec![(PASSWORD, vec![]); 2],
            "policy: it does not lead to the policy that the key has",
        ),
    ] {
        let error = sign_by(&tpm, &policy, KEY_PIN).unwrap_err();
        assert!(error.to_string().contains(says), "{error}");
    }
    let layout = layout().field("parent", "INTEGER:0x81000001").key(&tpm);
    let error = sign(&tpm, &layout.write(&tpm), KEY_PIN).unwrap_err();
    let says =
        "policy: the key is used by a policy only (no userWithAuth attribute), and there is none";
    assert!(error.to_string().contains(says), "{error}");
}
