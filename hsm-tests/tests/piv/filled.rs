//! Cards with keys and certificates in them, made with Yubico's tools and OpenSSL.

use hsm_tests::{Card, program, run};

/// Keys in slots, each with a certificate of an authority of its own. Gives the certificates, DER.
pub fn filled(card: &Card, slots: &[(&str, &str)]) -> Vec<Vec<u8>> {
    let slots: Vec<(&str, &str, &[&str])> = slots
        .iter()
        .map(|(slot, algorithm)| (*slot, *algorithm, &[][..]))
        .collect();
    filled_with(card, &slots)
}

/// As [`filled`], with policies as `yubico-piv-tool` takes them.
pub fn filled_with(card: &Card, slots: &[(&str, &str, &[&str])]) -> Vec<Vec<u8>> {
    card.identify();
    let authority = card.folder().join("authority.key");
    if !authority.exists() {
        program::private_key("EC:P-256", &authority);
    }
    let mut certificates = Vec::new();
    for (slot, algorithm, policies) in slots {
        let public_key = card.generate(slot, algorithm, policies);
        let file = |kind: &str| card.folder().join(format!("{slot}.{kind}"));
        let mut openssl = program::command("openssl");
        openssl
            .args(["x509", "-new", "-days", "2", "-subj"])
            .arg(format!("/CN=device {slot}"))
            .arg("-force_pubkey")
            .arg(public_key)
            .arg("-signkey")
            .arg(&authority)
            .arg("-out")
            .arg(file("pem"));
        run(&mut openssl).success();
        card.import_certificate(slot, &file("pem"));
        let mut openssl = program::command("openssl");
        openssl.args(["x509", "-outform", "DER", "-in"]);
        run(openssl.arg(file("pem")).arg("-out").arg(file("der"))).success();
        certificates.push(std::fs::read(file("der")).unwrap());
    }
    certificates
}
