//! Holds a key open through `keystead-signer`, as a daemon does, for tests that end one or the other:
//! `key-holder direct|launcher SIGNER MODULE STATE KEY [WITHOUT]`. Says `open`, then signs each line
//! that it reads, and says `signed` or why not.

use std::env;
use std::error::Error;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use hsm_tests::StoredPin;
use keystead::backend::isolated::{Environment, Isolated, Launcher, Starter};
use keystead::backend::pkcs11::{Access, Leaf, OpenKey, Tokens as _};
use keystead::core::key::{MAX_SIGNATURE_LEN, Signer as _};

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = env::args().skip(1);
    let mut next = || arguments.next().ok_or("an argument is missing");
    let (way, signer) = (next()?, PathBuf::from(next()?));
    let access = Access {
        module: next()?.into(),
        state: Some(next()?.into()),
        reuse_pin: false,
        timeout: Duration::from_secs(60),
    };
    let request = OpenKey {
        key: Some(next()?.parse()?),
        leaf: Leaf::None,
        require_hardware: false,
    };
    let environment = Environment {
        without: arguments.collect(),
        ..Environment::default()
    };
    let starter = match way.as_str() {
        "direct" => Starter::direct(signer, environment),
        _ => Starter::launcher(Launcher::start(&signer, &environment)?),
    };
    let opened = Isolated::new(starter, access).open(&request, Box::new(StoredPin))?;
    let mut signer = opened.signer;
    let scheme = signer.key().roles_anywhere_scheme();
    println!("open");
    for line in io::stdin().lines() {
        let mut signature = [0; MAX_SIGNATURE_LEN];
        match signer.sign(scheme, line?.as_bytes(), &mut signature) {
            Ok(_) => println!("signed"),
            Err(error) => println!("{error}"),
        }
    }
    Ok(())
}
