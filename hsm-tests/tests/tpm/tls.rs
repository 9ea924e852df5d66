//! Client certificates for `rustls` with keys in swtpm, judged by OpenSSL's server.

use hsm_tests::{Swtpm, TlsServer};
use keystead::backend::tpm::KeyPlace;

use crate::rig::{AUTH, try_open};

#[test]
fn keys_in_a_tpm_are_let_in_by_tls_1_2_and_1_3() {
    let mut tpm = Swtpm::new();
    tpm.make_storage_root();
    let mut server = TlsServer::new();
    for (handle, algorithm, signature, hash) in [
        (0x8100_0011, "rsa2048:null:null", "RSA-PSS", "SHA256"),
        (0x8100_0012, "ecc256:null:null", "ECDSA", "SHA256"),
        (0x8100_0013, "ecc384:null:null", "ECDSA", "SHA384"),
    ] {
        tpm.make_key(algorithm, "|sign|noda", AUTH, handle);
        let opened = try_open(&tpm, &KeyPlace::Handle(handle), AUTH).unwrap();
        let client = server.client(opened.signer);
        for version in ["-tls1_2", "-tls1_3"] {
            let said = server.meet(&client, &[version]).unwrap();
            for line in [
                format!("Hash used: {hash}"),
                format!("Signature type: {signature}"),
                "Verification: OK".into(),
            ] {
                assert!(said.lines().any(|said| said == line), "{line}: {said}");
            }
        }
        if signature == "RSA-PSS" {
            let pkcs1 = ["-tls1_2", "-client_sigalgs", "RSA+SHA256"];
            let said = server.meet(&client, &pkcs1).unwrap();
            assert!(said.contains("Signature type: RSA\n"), "{said}");
        }
    }
    // A TPM that is no longer there: the handshake's error says what libtss2 said.
    let opened = try_open(&tpm, &KeyPlace::Handle(0x8100_0012), AUTH).unwrap();
    let client = server.client(opened.signer);
    tpm.kill();
    let error = server.meet(&client, &[]).unwrap_err().to_string();
    assert!(error.contains("TSS2_TCTI_RC_IO_ERROR"), "{error}");
}
