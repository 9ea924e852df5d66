//! Certificates beside a key: which of them are its chain.

use std::fs;
use std::time::Duration;

use hsm_tests::lab::now;
use hsm_tests::operator::Stored;
use hsm_tests::{SoftHsm, StoredPin};
use keystead::backend::chain;
use keystead::backend::pkcs11::{
    KeyAlgorithm, Leaf, Local, OpenKey, OpenedKey, TokenError, Tokens as _,
};
use keystead::ca::{Authority, KeyType, PrivateKey, Template, Usage, Validity};

fn hours(hours: u64) -> Validity {
    Validity::starting(now(), Duration::from_secs(hours * 3600))
}

fn name(name: &str) -> keystead::ca::Subject {
    name.parse().expect("a distinguished name")
}

/// A root, and an authority below it. Two of them have the same names, and other keys.
fn authorities() -> (Authority, Authority) {
    let mut root = Authority::new_in_memory(name("CN=Root"), KeyType::P256, hours(3)).unwrap();
    let key = PrivateKey::generate(KeyType::P256).unwrap();
    let issuing = root.new_intermediate(name("CN=Issuing"), &key, hours(2));
    (root, issuing.unwrap())
}

/// A token with two keys, and what belongs to them.
struct Bench {
    hsm: SoftHsm,
    issuing: Authority,
}

impl Bench {
    fn new(hsm: SoftHsm) -> Self {
        let (root, issuing) = authorities();
        let (other_root, other_issuing) = authorities();
        hsm.generate(KeyAlgorithm::P256, 1, "hub", &[]);
        hsm.generate(KeyAlgorithm::P256, 2, "other", &[]);
        let mut bench = Self { hsm, issuing };
        // What is older, or of another authority, comes first where order could matter.
        bench.put(0x11, "other issuing", other_issuing.certificate());
        bench.put(0x12, "other root", other_root.root());
        let other = bench.certify(2);
        bench.put(2, "other", &other);
        let issuing = bench.issuing.certificate().to_vec();
        bench.put(0x13, "issuing", &issuing);
        bench.put(0x14, "root", root.root());
        bench
    }

    /// A certificate for a key of the token.
    fn certify(&mut self, id: u8) -> Vec<u8> {
        let file = self.hsm.folder().join("public.der");
        self.hsm.public_key(id, &file);
        let public_key = fs::read(file).expect("it was just written");
        let template = Template::new(Usage::Client, name(&format!("CN=key {id}")), hours(1));
        self.issuing.certify(&template, &public_key).unwrap()
    }

    fn put(&self, id: u8, label: &str, der: &[u8]) {
        let file = self.hsm.folder().join("put.der");
        fs::write(&file, der).expect("the test's folder can be written to");
        self.hsm.write_certificate(&file, id, label);
    }

    fn open(&self, certificate: &str) -> Result<OpenedKey, TokenError> {
        let uri = format!("{};{certificate};type=cert", self.hsm.uri());
        let request = OpenKey {
            key: None,
            leaf: Leaf::Token(Box::new(uri.parse().expect("the test's URIs are ones"))),
            require_hardware: false,
        };
        Local::new(self.hsm.access()).open(&request, Box::new(StoredPin))
    }

    /// The chain that is sent.
    #[track_caller]
    fn chain(&self, certificate: &str) -> Vec<Vec<u8>> {
        let opened = self
            .open(certificate)
            .unwrap_or_else(|error| panic!("{error}"));
        chain::build(&opened.certificates, opened.signer.public_key()).unwrap()
    }
}

#[test]
fn intermediates_are_found_and_nothing_else_is_sent() {
    SoftHsm::in_process("chain", |hsm| {
        let mut bench = Bench::new(hsm);
        let leaf = bench.certify(1);
        bench.put(1, "hub", &leaf);
        let expected = [leaf, bench.issuing.certificate().to_vec()];
        assert_eq!(bench.chain("object=hub"), expected);
        assert_eq!(bench.chain("id=%01"), expected);
    });
}

#[test]
fn a_key_is_found_by_its_certificates_label_or_key_if_its_id_is_another() {
    SoftHsm::in_process("chain", |hsm| {
        let mut bench = Bench::new(hsm);
        let leaf = bench.certify(1);
        // The CKA_ID of the other key, and a label that no key has.
        bench.put(2, "nobody's", &leaf);
        assert_eq!(bench.chain("object=nobody%27s")[0], leaf);
        // No CKA_ID of any key, but the label of one.
        bench.hsm.delete("cert", 2);
        bench.hsm.delete("cert", 2);
        bench.put(0x77, "hub", &leaf);
        assert_eq!(bench.chain("object=hub")[0], leaf);
    });
}

#[test]
fn a_certificate_for_no_key_of_the_token_is_refused() {
    SoftHsm::in_process("chain", |hsm| {
        let bench = Bench::new(hsm);
        let error = bench.open("object=root").err().expect("it has no key here");
        assert!(matches!(error, TokenError::KeyMismatch { .. }), "{error}");
    });
}

#[test]
fn certificates_are_read_without_a_pin() {
    SoftHsm::in_process("chain", |hsm| {
        let bench = Bench::new(hsm);
        let uri = format!("{};object=issuing", bench.hsm.uri());
        let found = Local::new(bench.hsm.access())
            .certificates(&uri.parse().unwrap(), &mut Stored(None))
            .unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].der, bench.issuing.certificate());
        assert_eq!(found[0].uri.id.as_deref(), Some(&[0x13][..]));
    });
}
