//! What works in this process works in another one.

use std::sync::Mutex;
use std::thread;

use hsm_tests::{SoftHsm, StoredPin};
use keystead::backend::isolated::Isolated;
use keystead::backend::pkcs11::{GenerateKey, KeyAlgorithm, Leaf, OpenKey, PinRole, Tokens as _};
use keystead::core::key::Scheme;

use super::{Bench, direct, launcher, sign, sign_as};

#[test]
fn each_kind_of_key_signs_both_ways() {
    SoftHsm::in_process("kinds", |hsm| {
        let kinds = [
            (KeyAlgorithm::P256, Scheme::EcdsaSha256),
            (KeyAlgorithm::P384, Scheme::EcdsaSha384),
            (KeyAlgorithm::P521, Scheme::EcdsaSha512),
            (KeyAlgorithm::Rsa(2048), Scheme::RsaPssSha256),
        ];
        for (id, (algorithm, _)) in (1..).zip(kinds) {
            hsm.generate(algorithm, id, "key", &[]);
        }
        for starter in [direct(), launcher()] {
            let mut tokens = Isolated::new(starter, hsm.access());
            for (id, (_, scheme)) in (1..).zip(kinds) {
                let request = OpenKey {
                    key: Some(hsm.key_uri(id).parse().unwrap()),
                    leaf: Leaf::None,
                    require_hardware: false,
                };
                let mut signer = tokens.open(&request, Box::new(StoredPin)).unwrap().signer;
                sign(&mut signer).unwrap();
                sign_as(&mut signer, scheme).unwrap();
            }
        }
    });
}

#[test]
fn a_key_is_made_and_listed() {
    SoftHsm::in_process("made", |hsm| {
        let mut tokens = Isolated::new(direct(), hsm.access());
        let request = GenerateKey {
            uri: format!("{};object=new", hsm.uri()).parse().unwrap(),
            algorithm: KeyAlgorithm::P256,
            allow_duplicate: false,
            role: PinRole::User,
        };
        let made = tokens.generate(&request, &mut StoredPin).unwrap();
        let uri = hsm.uri().parse().unwrap();
        let inventory = tokens.inventory(&uri, true, &mut StoredPin).unwrap();
        let keys = &inventory.slots[0].keys;
        assert_eq!(keys.len(), 1);
        assert_eq!(keys[0].uri.id, made.uri.id);
    });
}

#[test]
fn eight_threads_sign_at_once() {
    SoftHsm::in_process("threads", |hsm| {
        let bench = Bench::new(hsm);
        // SoftHSM writes the token's file at each login, and to other processes it is none meanwhile.
        let logging_in = Mutex::new(());
        for starter in [direct(), launcher()] {
            thread::scope(|scope| {
                for _ in 0..8 {
                    let starter = starter.clone();
                    scope.spawn(|| {
                        let turn = logging_in.lock().unwrap();
                        let mut signer = bench.open_with(starter, StoredPin).unwrap().signer;
                        drop(turn);
                        for _ in 0..20 {
                            sign(&mut signer).unwrap();
                        }
                    });
                }
            });
        }
        let mut processes: Vec<_> = bench
            .module
            .calls()
            .iter()
            .map(|call| call.process)
            .collect();
        processes.sort_unstable();
        processes.dedup();
        assert_eq!(processes.len(), 16);
    });
}
