//! Credentials that are kept need no token.

use std::fs;

use hsm_tests::hub::assert_credentials;
use hsm_tests::softhsm::{MODULE, PIN};
use hsm_tests::{Hub, run};

#[test]
fn a_hit_needs_neither_token_nor_module_nor_pin() {
    let hub = Hub::new();
    let uri = hub.uri("object=hub-0001");
    // A module that can be taken away.
    let module = hub.lab.folder().join("module.so");
    fs::copy(MODULE, &module).unwrap();
    let session = |more: &[&str]| {
        let mut session = hub.bare_session(&["--certificate", &uri]);
        session
            .args(["--isolate", "--cache-dir", "cache", "--pkcs11-lib"])
            .arg(&module)
            .args(more);
        session
    };
    let mut first = session(&["--pin-source", "env:HUB_PIN"]);
    let first = run(first.env("HUB_PIN", PIN)).success();
    assert_credentials(&first);
    fs::remove_dir_all(hub.hsm.folder().join("tokens")).unwrap();
    fs::remove_file(&module).unwrap();
    for more in [&[][..], &["--pin-source", "file:none"]] {
        let again = run(&mut session(more));
        assert_eq!(again.stderr, "");
        assert_eq!(again.success(), first);
    }
    assert_eq!(hub.lab.sandbox.session_requests().len(), 1);
    run(&mut session(&["--no-cache"])).failure();
    // While the token is away, credentials that still live are better than none.
    let remaining = run(&mut session(&["--cache-min-life", "2h"]));
    assert!(
        remaining.stderr.contains("are used instead"),
        "{}",
        remaining.stderr
    );
    assert_eq!(remaining.success(), first);
}
