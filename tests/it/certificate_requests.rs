//! Certificate requests, as OpenSSL reads them.

use keystead::backend::file::{KeyType, PrivateKey};
use keystead::host::pkix::{AlternativeName, CertificateRequest, Subject};

use crate::support::openssl::Workshop;

const NAMES: [&str; 5] = [
    "dns:*.hubs.example",
    "uri:spiffe://example.org/hub/17",
    "email:ops@example.org",
    "ip:192.0.2.17",
    "ip:2001:db8::17",
];

#[test]
fn every_kind_of_key() {
    let workshop = Workshop::new();
    let subject: Subject = r"CN=hub\,17,O=B\c3\bcro+OU=\ \#1\ ,C=DE".parse().unwrap();
    let names = NAMES.map(|name| name.parse::<AlternativeName>().unwrap());
    for kind in KeyType::ALL {
        let mut signer = PrivateKey::generate(kind).unwrap().signer().unwrap();
        let pem = CertificateRequest::sign_pem(&subject, &names, &mut signer).unwrap();
        let file = format!("{kind}.csr");
        workshop.write(&file, pem);
        if kind.name().starts_with("ml-dsa") {
            // OpenSSL reads these from 3.5 on; that we read them is tested where they are made.
            continue;
        }
        let text = workshop.openssl(&format!(
            "req -in {file} -verify -noout -text -nameopt RFC2253,-esc_msb,utf8"
        ));
        for says in [
            r"Subject: C=DE,O=Büro+OU=\ #1\ ,CN=hub\,17",
            "X509v3 Key Usage: critical",
            "Digital Signature",
            "DNS:*.hubs.example, URI:spiffe://example.org/hub/17, email:ops@example.org, \
             IP Address:192.0.2.17, IP Address:2001:DB8:0:0:0:0:0:17",
        ] {
            assert!(text.contains(says), "{kind}: {says} is missing in {text}");
        }
    }
}
