//! NSS softokn, the module of Firefox: through p11-kit's proxy, which hands it the parameters that it
//! wants in C_Initialize's reserved argument.

use std::fs;
use std::path::{Path, PathBuf};

use keystead::backend::BoxedSigner;
use keystead::backend::pkcs11::Local;

use super::token::{self, TokenWorkshop};
use super::{Bench, Kind, Refusal, Workshop};
use crate::alone::Surroundings;
use crate::p11_kit;
use crate::program::{self, run};

/// Where NSS keeps keys; it has another token for what is in memory.
const TOKEN: &str = "pkcs11:token=NSS%20Certificate%20DB";

/// An NSS database.
pub struct Nss(PathBuf);

impl Nss {
    fn database(&self) -> String {
        format!("sql:{}", self.0.join("nss").display())
    }

    /// The file with the PIN.
    fn pin_file(&self) -> PathBuf {
        self.0.join("nss.pin")
    }
}

impl Bench for Nss {
    const LIMITS: &'static [(&'static str, &'static str)] = &[
        ("a locked PIN is told", "NSS never locks it"),
        ("it goes away and comes back", "its database is in memory"),
    ];

    const PIN: &'static str = "1234";

    fn surroundings(folder: &Path) -> Surroundings {
        let bench = Self(folder.to_owned());
        let parameters = format!(
            "configdir='{}' certPrefix='' keyPrefix='' secmod='' flags=",
            bench.database()
        );
        Surroundings {
            variables: Vec::new(),
            within: p11_kit::only_module(
                folder,
                &program::library("libsoftokn3.so"),
                Some(&parameters),
            ),
        }
    }

    fn set_up(folder: &Path) -> Self {
        let bench = Self(folder.to_owned());
        fs::create_dir(folder.join("nss")).expect("the test's folder can be written to");
        fs::write(bench.pin_file(), format!("{}\n", Self::PIN)).expect("it is the test's folder");
        let mut create = program::command("certutil");
        create
            .args(["-N", "-d", &bench.database(), "-f"])
            .arg(bench.pin_file());
        run(&mut create).success();
        bench
    }

    fn again(folder: &Path) -> Self {
        Self(folder.to_owned())
    }

    fn put(&mut self, kind: Kind, key: &Path) -> Result<(), String> {
        let certificate = key.with_extension("crt");
        let both = key.with_extension("p12");
        let mut issue = program::command("openssl");
        issue.args([
            "req",
            "-new",
            "-x509",
            "-days",
            "2",
            "-subj",
            &format!("/CN={kind}"),
        ]);
        run(issue.arg("-key").arg(key).arg("-out").arg(&certificate)).success();
        let mut pack = program::command("openssl");
        pack.args([
            "pkcs12",
            "-export",
            "-passout",
            "pass:move",
            "-name",
            kind.label(),
        ]);
        pack.arg("-inkey").arg(key).arg("-in").arg(&certificate);
        run(pack.arg("-out").arg(&both)).success();
        let mut import = program::command("pk12util");
        import
            .args(["-d", &self.database(), "-W", "move", "-i"])
            .arg(both);
        run(import.arg("-k").arg(self.pin_file())).success();
        Ok(())
    }

    fn open(&self, kind: Kind, pin: &str) -> Result<BoxedSigner, Refusal> {
        let certificate = format!("{TOKEN};object={kind};type=cert");
        token::open(p11_kit::proxy(), &self.0, None, Some(&certificate), pin)
    }

    fn workshop(&self) -> Result<Box<dyn Workshop>, String> {
        let tokens = Local::new(token::access(p11_kit::proxy(), &self.0));
        let workshop = TokenWorkshop::new(tokens, TOKEN, Self::PIN);
        Ok(Box::new(workshop))
    }

    fn lock_pin(&mut self) -> Result<(), String> {
        let wrong = self.0.join("nss.wrong");
        fs::write(&wrong, "98765432\n").expect("it is the test's folder");
        for _ in 0..12 {
            let mut list = program::command("certutil");
            list.args(["-K", "-d", &self.database(), "-f"]).arg(&wrong);
            run(&mut list).failure();
        }
        let mut list = program::command("certutil");
        list.args(["-K", "-d", &self.database(), "-f"])
            .arg(self.pin_file());
        run(&mut list).success();
        Err("it takes every number of wrong PINs".to_owned())
    }

    fn remove(&mut self) -> Result<(), String> {
        Err("its database stays open".to_owned())
    }

    fn insert(&mut self) {}
}
