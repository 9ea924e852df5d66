//! Files made by tpm2-openssl.

use std::fs;
use std::path::Path;

use hsm_tests::Swtpm;
use hsm_tests::program::run;
use keystead::backend::tpm::Object;
use keystead::backend::tpm::key_file::KeyFile;

use super::{NONE, Stored, genpkey, open_with, sign, with_provider};
use crate::operator::Values;

#[test]
fn keys_under_the_owner_hierarchy_sign() {
    let tpm = Swtpm::new();
    for algorithm in ["EC:P-256", "EC:P-384", "RSA:2048"] {
        let file = genpkey(&tpm, algorithm, &[]);
        sign(&tpm, &file, NONE).unwrap_or_else(|error| panic!("{algorithm}: {error}"));
    }
}

#[test]
fn a_key_under_a_hierarchy_costs_three_commands_and_flushes() {
    let tpm = Swtpm::new();
    let file = genpkey(&tpm, "EC:P-256", &[]);
    // The first signature ever has the TPM test itself.
    sign(&tpm, &file, NONE).unwrap();
    let (signed, commands) = tpm.commands_of(|| super::open_and_sign(&tpm, &file, NONE));
    signed.unwrap();
    let expected = [
        "CreatePrimary",
        "Load",
        "FlushContext",
        "Sign",
        "FlushContext",
    ];
    assert_eq!(commands, expected);
}

#[test]
fn a_key_under_a_persistent_parent_costs_three_commands_and_a_flush() {
    let tpm = Swtpm::new();
    tpm.make_storage_root();
    let file = genpkey(&tpm, "EC:P-256", &["parent:0x81000001"]);
    // The first signature ever has the TPM test itself.
    sign(&tpm, &file, NONE).unwrap();
    let (signed, commands) = tpm.commands_of(|| super::open_and_sign(&tpm, &file, NONE));
    signed.unwrap();
    assert_eq!(commands, ["ReadPublic", "Load", "Sign", "FlushContext"]);
    tpm.assert_nothing_left();
}

#[test]
fn the_keys_auth_value_is_asked_for() {
    let tpm = Swtpm::new();
    let file = genpkey(&tpm, "EC:P-256", &["user-auth:keypin"]);
    let stored = Stored {
        key: Some("keypin"),
        ..NONE
    };
    sign(&tpm, &file, stored).unwrap();
}

#[test]
fn the_parents_auth_value_is_asked_for() {
    let tpm = Swtpm::new();
    tpm.tool(
        "createprimary -Q -C o -g sha256 -G ecc256:aes128cfb -p parentpw -a \
         fixedtpm|fixedparent|sensitivedataorigin|userwithauth|restricted|decrypt -c parent.ctx",
    );
    tpm.tool("evictcontrol -Q -C o -c parent.ctx 0x81000002");
    tpm.tool("flushcontext -t");
    let options = ["parent:0x81000002", "parent-auth:parentpw"];
    let file = genpkey(&tpm, "EC:P-256", &options);
    let with = |parent| Stored { parent, ..NONE };
    sign(&tpm, &file, with(Some("parentpw"))).unwrap();
    // A wrong value is tried once, and none once: it counts.
    for parent in [Some("wrong"), None] {
        let failures = tpm.lockout().failures;
        for says in [
            "the auth value of the parent key",
            "the auth value of the parent key",
        ] {
            let error = sign(&tpm, &file, with(parent)).unwrap_err().to_string();
            assert!(
                error.starts_with("key.tss2: ") && error.contains(says),
                "{error}"
            );
        }
        assert_eq!(tpm.lockout().failures, failures + 1, "{parent:?}");
    }
    sign(&tpm, &file, with(Some("parentpw"))).unwrap();
}

#[test]
fn the_owners_password_is_asked_for() {
    let tpm = Swtpm::new();
    let file = genpkey(&tpm, "EC:P-256", &[]);
    tpm.set_owner_password("ownerpw");
    let with = |owner| Stored { owner, ..NONE };
    sign(&tpm, &file, with(Some("ownerpw"))).unwrap();
    for owner in [Some("wrong"), None] {
        let error = sign(&tpm, &file, with(owner)).unwrap_err().to_string();
        assert!(error.contains("the owner hierarchy"), "{error}");
    }
}

/// Has tpm2-openssl sign with a file, and verifies what it signed.
#[track_caller]
fn signs_in_openssl(tpm: &Swtpm, file: &str, password: Option<&str>) {
    let mut request = with_provider(tpm, "req");
    request.args([
        "-new",
        "-subj",
        "/CN=hub",
        "-key",
        file,
        "-out",
        "request.pem",
    ]);
    if let Some(password) = password {
        request.args(["-passin", &format!("pass:{password}")]);
    }
    run(&mut request).success();
    tpm.assert_nothing_left();
    let verified =
        run(tpm
            .command("openssl")
            .args(["req", "-in", "request.pem", "-noout", "-verify"]));
    let text = verified.stdout.clone() + &verified.stderr;
    verified.success();
    assert!(text.contains("verify OK"), "{text}");
}

#[test]
fn files_that_we_write_sign_in_openssl() {
    let tpm = Swtpm::new();
    tpm.make_storage_root();
    for (options, password) in [
        (&[][..], None),
        (&["parent:0x81000001"], None),
        (&["parent:0x81000001", "user-auth:keypin"], Some("keypin")),
    ] {
        let file = genpkey(&tpm, "EC:P-256", options);
        let contents = fs::read(tpm.folder().join(file)).unwrap();
        let mut file = KeyFile::read(&contents).unwrap();
        // Which is the same key at the handle and in the hierarchy.
        tpm.tool("readpublic -Q -c 0x81000001 -n name");
        file.parent_name = Some(fs::read(tpm.folder().join("name")).unwrap());
        let text = file.write().unwrap();
        assert!(text.starts_with("Parent-Name: 000b"));
        fs::write(tpm.folder().join("ours.tss2"), text).unwrap();
        signs_in_openssl(&tpm, "ours.tss2", password);
        let stored = Stored {
            key: password,
            ..NONE
        };
        sign(&tpm, Path::new("ours.tss2"), stored).unwrap();
    }
}

#[test]
fn a_person_is_asked_for_the_parents_auth_value_after_the_empty_one_was_refused() {
    let tpm = Swtpm::new();
    tpm.tool(
        "createprimary -Q -C o -g sha256 -G ecc256:aes128cfb -p parentpw -a \
         fixedtpm|fixedparent|sensitivedataorigin|userwithauth|noda|restricted|decrypt -c parent.ctx",
    );
    tpm.tool("evictcontrol -Q -C o -c parent.ctx 0x81000002");
    tpm.tool("flushcontext -t");
    let options = ["parent:0x81000002", "parent-auth:parentpw"];
    let file = genpkey(&tpm, "EC:P-256", &options);
    let person = Values::typed(&["mistyped", "parentpw"]);
    open_with(&tpm, &file, person.clone()).unwrap();
    tpm.assert_nothing_left();
    let asked = person
        .asked()
        .into_iter()
        .filter(|request| request.of == Object::Parent);
    let refused: Vec<bool> = asked.map(|request| request.refused).collect();
    assert_eq!(refused, [false, true, true]);
}
