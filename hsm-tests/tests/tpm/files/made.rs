//! Files that we make, used.

use std::fs;
use std::path::Path;

use hsm_tests::Swtpm;
use keystead::backend::tpm::{
    Destination, Device as _, Done, GenerateKey, KeyAlgorithm, Local, Parent, Task,
};

use super::{NONE, Stored, open_and_sign, sign};

const STORAGE: &str =
    "fixedtpm|fixedparent|sensitivedataorigin|userwithauth|restricted|decrypt|noda";

const FILE: &str = "key.tss2";

/// Makes a key, and its file.
#[track_caller]
fn make(tpm: &Swtpm, parent: Parent, mut stored: Stored, pcrs: &[u8]) {
    let request = GenerateKey {
        to: Destination::File,
        parent,
        algorithm: KeyAlgorithm::P256,
        with_auth: stored.key.is_some(),
        counts_towards_lockout: false,
        policy_pcrs: pcrs.to_vec(),
    };
    let done = Local::new(tpm.access()).perform(&Task::Generate(request), &mut stored);
    let Ok(Done::Generated(key)) = done else {
        panic!("{done:?}");
    };
    fs::write(tpm.folder().join(FILE), key.file.expect("it is a file")).unwrap();
}

#[test]
fn a_key_that_is_bound_to_pcrs_signs_while_they_are_as_they_were() {
    let tpm = Swtpm::new();
    for key in [None, Some("keypin")] {
        let stored = Stored { key, ..NONE };
        make(&tpm, Parent::StorageRoot, stored, &[7, 16]);
        sign(&tpm, Path::new(FILE), stored).unwrap();
        tpm.tool(&format!("pcrextend 16:sha256={}", "ab".repeat(32)));
        let error = sign(&tpm, Path::new(FILE), stored).unwrap_err();
        assert!(error.to_string().contains("PCRs sha256:7,16"), "{error}");
        tpm.tool("pcrreset 16");
        sign(&tpm, Path::new(FILE), stored).unwrap();
    }
}

#[test]
fn sessions_are_salted_to_a_parent_of_any_template() {
    let tpm = Swtpm::new();
    let stored = Stored {
        key: Some("keypin"),
        parent: Some("parentpw"),
        owner: None,
    };
    for algorithm in ["ecc384:aes256cfb", "rsa2048:aes128cfb"] {
        tpm.tool(&format!(
            "createprimary -Q -C o -g sha256 -G {algorithm} -a {STORAGE} -p parentpw -c parent.ctx"
        ));
        tpm.tool("evictcontrol -Q -C o -c parent.ctx 0x81000002");
        tpm.tool("flushcontext -t");
        make(&tpm, Parent::Handle(0x8100_0002), stored, &[]);
        let (signed, commands) = tpm.commands_of(|| open_and_sign(&tpm, Path::new(FILE), stored));
        tpm.assert_nothing_left();
        if crate::IS_DIRECT {
            let error = signed.unwrap_err().to_string();
            assert!(error.contains("by libtss2 alone"), "{error}");
            tpm.tool("evictcontrol -Q -C o -c 0x81000002");
            continue;
        }
        signed.unwrap();
        // It is made anew to be sure of it.
        assert!(
            commands.iter().any(|command| command == "CreatePrimary"),
            "{commands:?}"
        );
        tpm.tool("evictcontrol -Q -C o -c 0x81000002");
    }
}

#[test]
fn a_key_below_another_is_made_and_signs() {
    let tpm = Swtpm::new();
    tpm.make_storage_root();
    tpm.make_key(
        "ecc256:aes128cfb",
        "|restricted|decrypt|noda",
        "parentpw",
        0x8100_0002,
    );
    let stored = Stored {
        parent: Some("parentpw"),
        ..NONE
    };
    make(&tpm, Parent::Handle(0x8100_0002), stored, &[]);
    sign(&tpm, Path::new(FILE), stored).unwrap();
}

#[test]
fn sessions_are_not_salted_where_nobody_could_be_sure_of_the_parent() {
    let stored = Stored {
        key: Some("keypin"),
        ..NONE
    };
    let signs = |tpm: &Swtpm, parent, stored| {
        make(tpm, parent, stored, &[]);
        let text = fs::read_to_string(tpm.folder().join(FILE)).unwrap();
        assert!(text.starts_with("-----BEGIN"), "{text}");
        sign(tpm, Path::new(FILE), stored).unwrap();
    };
    // It is no primary key, and cannot be made anew.
    let tpm = Swtpm::new();
    tpm.make_storage_root();
    tpm.make_key(
        "ecc256:aes128cfb",
        "|restricted|decrypt|noda",
        "",
        0x8100_0002,
    );
    signs(&tpm, Parent::Handle(0x8100_0002), stored);
    // The owner is not there to make it anew.
    tpm.set_owner_password("ownerpw");
    signs(&tpm, Parent::StorageRoot, stored);
}
