//! What a TPM says of itself.

use core::time::Duration;

use hsm_tests::Swtpm;
use keystead::backend::tpm::{Device as _, Done, Local, Lockout, Status, Task};

use crate::operator::Values;

fn status(tpm: &Swtpm) -> Status {
    let done = Local::new(tpm.access()).perform(&Task::Status, &mut Values::none());
    match done.unwrap() {
        Done::Status(status) => status,
        other => panic!("{other:?}"),
    }
}

#[test]
fn it_says_what_it_is_and_what_it_can_do() {
    let tpm = Swtpm::new();
    let status = status(&tpm);
    assert_eq!(status.manufacturer, "IBM");
    assert_eq!(status.model, "SW   TPM");
    let numbers: Vec<&str> = status.firmware.split('.').collect();
    assert_eq!(numbers.len(), 4);
    assert!(numbers.iter().all(|number| number.parse::<u16>().is_ok()));
    assert!(status.revision >= 138, "{}", status.revision);
    for name in [
        "EC P-256", "EC P-384", "RSA 2048", "RSA 3072", "RSAPSS", "SHA-384",
    ] {
        assert!(
            status.algorithms.iter().any(|known| known == name),
            "{name}"
        );
    }
    assert!(!status.resource_manager);
    assert!(status.persistent.is_empty());
    tpm.assert_nothing_left();
}

#[test]
fn it_shows_what_is_at_which_handle() {
    let tpm = Swtpm::certified();
    tpm.make_storage_root();
    tpm.make_key("ecc256:null:null", "|noda|sign", "keypin", 0x8100_0011);
    tpm.make_key("rsa2048:rsassa-sha256:null", "|sign", "keypin", 0x8100_0012);
    tpm.make_key(
        "ecc256:ecdsa-sha256:null",
        "|restricted|sign",
        "keypin",
        0x8100_0013,
    );
    tpm.make_key("hmac", "|sign", "keypin", 0x8100_0014);
    let status = status(&tpm);
    let objects: Vec<(u32, &str)> = status
        .persistent
        .iter()
        .map(|object| (object.handle, object.what.as_str()))
        .collect();
    let expected = [
        (0x8100_0001, "storage key, EC P-256"),
        (0x8100_0011, "signing key, EC P-256"),
        (0x8100_0012, "signing key, RSA 2048, counts towards lockout"),
        (0x8100_0013, "attestation key, EC P-256"),
        (0x8100_0014, "HMAC key"),
        (0x8101_0001, "endorsement key, RSA 2048"),
        (0x8101_0016, "endorsement key, EC P-384"),
    ];
    assert_eq!(objects, expected);
    assert!(
        status
            .persistent
            .iter()
            .all(|object| object.problem.is_none())
    );
    tpm.assert_nothing_left();
}

#[test]
fn it_shows_its_protection_against_guessing() {
    let tpm = Swtpm::new();
    tpm.set_up_lockout(5, 10);
    assert_eq!(
        status(&tpm).lockout,
        Lockout {
            locked: false,
            failures: 0,
            most: 5,
            recovery: Duration::from_secs(10),
            lockout_recovery: Duration::from_secs(10),
            has_auth: false,
        }
    );
    tpm.tool("changeauth -c lockout secret");
    assert!(status(&tpm).lockout.has_auth);
}
