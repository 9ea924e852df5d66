//! SoftHSM through p11-kit: behind a socket, and through the proxy.

use std::path::Path;

use keystead::backend::BoxedSigner;

use super::softhsm::{SOFTHSM_NEVER_LOCKS, Tokens};
use super::{Bench, Kind, Refusal, Workshop};
use crate::alone::Surroundings;
use crate::p11_kit::{self, Server};
use crate::softhsm::{CONFIGURATION, MODULE, PIN, configuration};

/// SoftHSM in another process, `p11-kit server`, with p11-kit-client.so in ours.
pub struct Client {
    tokens: Tokens,
    server: Option<Server>,
}

impl Bench for Client {
    const LIMITS: &'static [(&'static str, &'static str)] = &[SOFTHSM_NEVER_LOCKS];

    const PIN: &'static str = PIN;

    fn surroundings(folder: &Path) -> Surroundings {
        vec![
            (CONFIGURATION, configuration(folder).into()),
            (p11_kit::ADDRESS, p11_kit::address(folder)),
        ]
        .into()
    }

    fn set_up(folder: &Path) -> Self {
        let tokens = Tokens::set_up(folder);
        Self {
            server: Some(Server::start(folder, MODULE)),
            tokens,
        }
    }

    fn again(folder: &Path) -> Self {
        Self {
            tokens: Tokens::again(folder),
            server: None,
        }
    }

    fn put(&mut self, kind: Kind, key: &Path) -> Result<(), String> {
        self.tokens.put(kind, key);
        Ok(())
    }

    fn open(&self, kind: Kind, pin: &str) -> Result<BoxedSigner, Refusal> {
        self.tokens.open(p11_kit::client(), kind, pin)
    }

    fn workshop(&self) -> Result<Box<dyn Workshop>, String> {
        Ok(Box::new(self.tokens.workshop(p11_kit::client())))
    }

    fn lock_pin(&mut self) -> Result<(), String> {
        self.tokens.lock_pin()
    }

    fn remove(&mut self) -> Result<(), String> {
        self.server = None;
        Ok(())
    }

    fn insert(&mut self) {
        self.server = Some(Server::start(&self.tokens.folder, MODULE));
    }
}

/// SoftHSM through p11-kit-proxy.so, with a configuration that names nothing else.
pub struct Proxy(Tokens);

impl Bench for Proxy {
    const LIMITS: &'static [(&'static str, &'static str)] = &[SOFTHSM_NEVER_LOCKS];

    const PIN: &'static str = PIN;

    fn surroundings(folder: &Path) -> Surroundings {
        Surroundings {
            variables: vec![(CONFIGURATION, configuration(folder).into())],
            within: p11_kit::only_module(folder, Path::new(MODULE), None),
        }
    }

    fn set_up(folder: &Path) -> Self {
        Self(Tokens::set_up(folder))
    }

    fn again(folder: &Path) -> Self {
        Self(Tokens::again(folder))
    }

    fn put(&mut self, kind: Kind, key: &Path) -> Result<(), String> {
        self.0.put(kind, key);
        Ok(())
    }

    fn open(&self, kind: Kind, pin: &str) -> Result<BoxedSigner, Refusal> {
        self.0.open(p11_kit::proxy(), kind, pin)
    }

    fn workshop(&self) -> Result<Box<dyn Workshop>, String> {
        Ok(Box::new(self.0.workshop(p11_kit::proxy())))
    }

    fn lock_pin(&mut self) -> Result<(), String> {
        self.0.lock_pin()
    }

    fn remove(&mut self) -> Result<(), String> {
        self.0.remove();
        Ok(())
    }

    fn insert(&mut self) {
        self.0.insert();
    }
}
