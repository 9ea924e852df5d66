//! Ways up to a root, through certificates that somebody made to waste time.

use std::time::Duration;

use keystead::backend::path::{NoPath, find};
use keystead::ca::{Authority, KeyType, PrivateKey, Subject, Template, Usage, Validity};
use keystead::core::time::UnixTime;
use keystead::core::x509::Certificate;

const NOW: UnixTime = UnixTime::from_secs(1_800_000_000);

fn validity() -> Validity {
    Validity::starting(NOW, Duration::from_secs(86_400))
}

fn subject(text: &str) -> Subject {
    text.parse().unwrap()
}

fn key() -> PrivateKey {
    PrivateKey::generate(KeyType::P256).unwrap()
}

fn root(name: &str, key: &PrivateKey) -> Authority {
    Authority::new_root(subject(name), key, 255, validity()).unwrap()
}

fn leaf(issuer: &mut Authority) -> Vec<u8> {
    let template = Template::new(Usage::Client, subject("CN=leaf"), validity());
    issuer
        .certify(&template, key().signer().unwrap().public_key())
        .unwrap()
}

/// The length of the path.
fn search(leaf: &[u8], candidates: &[Vec<u8>], anchors: &[&[u8]]) -> Result<usize, NoPath> {
    let read = |der| Certificate::from_der(der).unwrap();
    let candidates = candidates.iter().map(|der| read(der)).collect();
    let anchors = anchors.iter().map(|der| read(der)).collect();
    find(&read(leaf), candidates, anchors, NOW).map(|path| path.len())
}

#[test]
fn certificates_that_all_sign_each_other_end_the_search() {
    let shared = key();
    let mut authorities: Vec<_> = (0..20).map(|_| root("CN=maker", &shared)).collect();
    let leaf = leaf(&mut authorities[0]);
    let candidates: Vec<_> = authorities
        .iter()
        .map(|authority| authority.certificate().to_vec())
        .collect();
    // There are 20! ways, none of which leads to either of these.
    let anchors = [root("CN=maker", &key()), root("CN=other", &key())];
    let anchors = [anchors[0].certificate(), anchors[1].certificate()];
    let obstacle = search(&leaf, &candidates, &anchors).unwrap_err().obstacle;
    let obstacle = obstacle.unwrap();
    assert!(obstacle.contains("100 signatures"), "{obstacle}");
    // One that does is taken at once.
    let anchors = [anchors[0], anchors[1], &candidates[7]];
    assert_eq!(search(&leaf, &candidates, &anchors), Ok(2));
}

#[test]
fn a_certificate_that_comes_often_is_tried_once() {
    let mut issuer = root("CN=maker", &key());
    let leaf = leaf(&mut issuer);
    let mut candidates = vec![root("CN=maker", &key()).certificate().to_vec(); 200];
    candidates.push(leaf.clone());
    let mut top = root("CN=top", &key());
    let template = Template::new(
        Usage::Authority { path_len: 1 },
        subject("CN=maker"),
        validity(),
    );
    let crossed = Certificate::from_der(issuer.certificate())
        .unwrap()
        .public_key
        .to_vec();
    candidates.push(top.certify(&template, &crossed).unwrap());
    assert_eq!(search(&leaf, &candidates, &[top.certificate()]), Ok(3));
}

#[test]
fn eight_certificates_lead_up_to_a_root_but_not_nine() {
    let mut issuer = root("CN=0", &key());
    let anchor = issuer.certificate().to_vec();
    let mut candidates = Vec::new();
    for number in 1..=8 {
        let key = key();
        let template = Template::new(
            Usage::Authority { path_len: 255 },
            subject(&format!("CN={number}")),
            validity(),
        );
        let signer = key.signer().unwrap();
        let certificate = issuer.certify(&template, signer.public_key()).unwrap();
        candidates.push(certificate.clone());
        issuer = Authority::from_parts(vec![certificate], signer).unwrap();
        let found = search(&leaf(&mut issuer), &candidates, &[&anchor]);
        if number < 8 {
            assert_eq!(found, Ok(number + 2));
        } else {
            let obstacle = found.unwrap_err().obstacle.unwrap();
            assert!(obstacle.contains("more than 8 certificates"), "{obstacle}");
        }
    }
}
