//! Client certificates for `rustls` with keys in SoftHSM, judged by OpenSSL's server.

use hsm_tests::{SoftHsm, StoredPin, TlsServer};
use keystead::backend::pkcs11::{KeyAlgorithm, Leaf, Local, OpenKey, Tokens as _};

#[test]
fn keys_in_a_token_are_let_in_by_tls_1_2_and_1_3() {
    SoftHsm::in_process("tls", |hsm| {
        let mut server = TlsServer::new();
        let mut tokens = Local::new(hsm.access());
        for (id, algorithm, signature, hash) in [
            (1, KeyAlgorithm::Rsa(2048), "RSA-PSS", "SHA256"),
            (2, KeyAlgorithm::P256, "ECDSA", "SHA256"),
            (3, KeyAlgorithm::P384, "ECDSA", "SHA384"),
        ] {
            hsm.generate(algorithm, id, "client", &[]);
            let request = OpenKey {
                key: Some(hsm.key_uri(id).parse().unwrap()),
                leaf: Leaf::None,
                require_hardware: false,
            };
            let opened = tokens.open(&request, Box::new(StoredPin)).unwrap();
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
            if id == 1 {
                let pkcs1 = ["-tls1_2", "-client_sigalgs", "RSA+SHA256"];
                let said = server.meet(&client, &pkcs1).unwrap();
                assert!(said.contains("Signature type: RSA\n"), "{said}");
            }
        }
        // A token that is no longer there: the handshake's error says what the module said.
        let request = OpenKey {
            key: Some(hsm.key_uri(2).parse().unwrap()),
            leaf: Leaf::None,
            require_hardware: false,
        };
        let opened = tokens.open(&request, Box::new(StoredPin)).unwrap();
        let client = server.client(opened.signer);
        hsm.remove();
        let error = server.meet(&client, &[]).unwrap_err().to_string();
        assert!(error.contains("CKR_"), "{error}");
    });
}
