//! Keys that keystead makes in a device.

use std::fs;
use std::path::Path;
use std::time::Duration;

use keystead::backend::BoxedSigner;
use keystead::ca::{Authority, KeyType, Template, Usage, Validity};
use keystead::core::key::Signer as _;

use super::key::{self, Kind};
use crate::lab::now;

/// A device in which keys are made.
pub trait Workshop {
    /// The kinds of keys that are made in it.
    fn kinds(&self) -> &[Kind];

    /// Makes a key, and gives the public one, a DER `SubjectPublicKeyInfo`.
    fn make(&mut self, kind: Kind) -> Vec<u8>;

    /// Opens the key of a kind that was made, in every way that leads to it, and hands it on each time.
    /// Its certificate (DER) is known.
    fn open(&mut self, kind: Kind, certificate: &[u8], hand_on: &mut dyn FnMut(BoxedSigner));
}

const MESSAGE: &[u8] = b"what is to be signed";

/// Makes a key of each kind, and a certificate for it, and signs with it. OpenSSL judges.
pub fn every_kind(workshop: &mut dyn Workshop, folder: &Path) {
    let hours = |hours: u64| Validity::starting(now(), Duration::from_secs(hours * 3600));
    let name = "CN=Workshop".parse().expect("a distinguished name");
    let mut authority =
        Authority::new_in_memory(name, KeyType::P256, hours(2)).expect("an authority can be made");
    for kind in workshop.kinds().to_vec() {
        let made = workshop.make(kind);
        let public_key = folder.join(format!("{kind}.public.der"));
        fs::write(&public_key, &made).expect("the test's folder can be written to");

        let subject = format!("CN={kind}").parse().expect("a distinguished name");
        let template = Template::new(Usage::Client, subject, hours(1));
        let certificate = authority.certify(&template, &made);
        let certificate = certificate.expect("the key is one that is certified");

        workshop.open(kind, &certificate, &mut |mut signer| {
            assert_eq!(signer.public_key(), made, "{kind}");
            let scheme = signer.key().roles_anywhere_scheme();
            let mut signature = [0; 512];
            let len = signer
                .sign(scheme, MESSAGE, &mut signature)
                .unwrap_or_else(|error| panic!("{kind}: {error}"));
            let how = ["-keyform", "DER", "-verify"];
            let signature = &signature[..len];
            key::verify_by(folder, &how, &public_key, scheme, MESSAGE, signature);
        });
    }
}
