//! An identity of `keystead.toml` against the sandbox, by the system's clock.

use core::time::Duration;
use std::boxed::Box;
use std::path::PathBuf;
use std::string::String;
use std::sync::{Arc, Mutex};
use std::vec::Vec;
use std::{format, fs};

use clap::Command;

use super::Configured;
use crate::backend::secret::Environment;
use crate::ca::{Authority, KeyType, Template, Usage, Validity};
use crate::cli::context::{Console, Context};
use crate::cli::flags;
use crate::core::time::UnixTime;
use crate::host::clock::system_time;
use crate::host::config::Setting;
use crate::host::refresh::{Driver, Event, Observer, Options, Refresher};
use crate::sandbox::{Config, Running, Sandbox, Scheme};

struct Nothing;

impl Environment for Nothing {
    fn var(&self, _name: &str) -> Option<std::ffi::OsString> {
        None
    }
}

#[derive(Clone, Default)]
struct Said(Arc<Mutex<Vec<String>>>);

impl Observer for Said {
    fn event(&mut self, event: &Event<'_>) {
        let text = match event {
            Event::Begun { .. } => "begun".into(),
            Event::ReloadRefused(failure) => format!("refused: {}", failure.what),
            other => format!("{other:?}"),
        };
        self.0.lock().unwrap().push(text);
    }
}

struct Hub {
    folder: tempfile::TempDir,
    sandbox: Running,
    refresher: Refresher,
    driver: Driver,
    said: Said,
}

impl Hub {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let now: UnixTime = system_time();
        let validity = Validity::starting(now, Duration::from_secs(86_400));
        let key_type = KeyType::P256;
        let mut authority =
            Authority::new_in_memory("CN=root".parse().unwrap(), key_type, validity).unwrap();
        let template = Template::new(Usage::Client, "CN=hub".parse().unwrap(), validity);
        let issued = authority.issue(&template, key_type).unwrap();
        fs::write(folder.path().join("hub.pem"), &issued.chain[0]).unwrap();
        fs::write(folder.path().join("hub.key"), issued.key.to_pem().unwrap()).unwrap();
        let sandbox = Sandbox::start(Config {
            scheme: Scheme::Http,
            ..Config::ready_made(authority.root().to_vec(), None).unwrap()
        })
        .unwrap();
        configure(&folder.path().join("keystead.toml"), &sandbox, 0, "");

        let command = flags::common(Command::new("serve"), &Setting::ALL);
        let config = folder.path().join("keystead.toml");
        let arguments = [
            "serve".into(),
            "--config".into(),
            config.into_os_string(),
            "--identity".into(),
            "hub".into(),
        ];
        let matches = command.try_get_matches_from(arguments).unwrap();
        let context = Context {
            drop_in: false,
            environment: &Nothing,
            console: Console::new(&[], &Nothing),
        };
        let configured = Configured::new(&matches, Some("hub"), &context).unwrap();
        let options = Options::new(configured.clock().clone());
        let said = Said::default();
        let (refresher, driver) =
            Refresher::driven("hub", Box::new(configured), options, Box::new(said.clone()));
        Self {
            folder,
            sandbox,
            refresher,
            driver,
            said,
        }
    }

    fn config(&self) -> PathBuf {
        self.folder.path().join("keystead.toml")
    }

    fn role(&mut self) -> String {
        let _ = self.refresher.credentials();
        self.driver.turn().unwrap();
        self.refresher.credentials().unwrap().role_arn.clone()
    }

    fn reload(&mut self) -> Vec<String> {
        self.refresher.reload();
        self.driver.turn().unwrap();
        core::mem::take(&mut self.said.0.lock().unwrap())
    }
}

fn configure(path: &PathBuf, sandbox: &Running, role: usize, more: &str) {
    let account = &sandbox.config().account;
    let text = format!(
        "[identity.hub]\ncertificate = \"hub.pem\"\nkey = \"hub.key\"\ntrust-anchor-arn = \"{}\"\n\
         profile-arn = \"{}\"\nrole-arn = \"{}\"\nendpoint = \"{}\"\n{more}",
        account.trust_anchors[0].arn,
        account.profiles[role].arn,
        account.roles[role].arn,
        sandbox.url()
    );
    fs::write(path, text).unwrap();
}

#[test]
fn what_keystead_toml_says_now_is_what_is_asked_for() {
    let mut hub = Hub::new();
    assert!(hub.role().ends_with("/SensorWriter"));
    configure(&hub.config(), &hub.sandbox, 1, "");
    assert_eq!(hub.reload(), ["begun", "Reloaded"]);
    assert!(hub.role().ends_with("/Developer"));
    assert_eq!(hub.refresher.status().signatures.made, 2);

    // A broken file is told, and what was there before goes on.
    configure(&hub.config(), &hub.sandbox, 0, "rolle-arn = \"\"\n");
    let said = hub.reload();
    assert!(
        said[0].starts_with("refused: ") && said[0].contains("keystead.toml"),
        "{said:?}"
    );
    assert!(said[0].contains("rolle-arn"), "{said:?}");
    assert!(hub.role().ends_with("/Developer"));

    // So is a role that the service does not give.
    let account = &hub.sandbox.config().account;
    let (mine, other) = (account.roles[0].arn.clone(), account.roles[1].arn.clone());
    configure(&hub.config(), &hub.sandbox, 0, "");
    let text = fs::read_to_string(hub.config()).unwrap();
    fs::write(hub.config(), text.replace(&mine, &other)).unwrap();
    let said = hub.reload();
    assert!(said[0].contains("AccessDenied"), "{said:?}");
    assert!(hub.role().ends_with("/Developer"));
}

#[cfg(any(feature = "pkcs11", feature = "tpm-direct"))]
#[test]
fn nobody_is_asked_later_for_what_was_typed_at_the_start() {
    use crate::backend::secret::SecretSource;
    use crate::cli::asked::Asked;
    use crate::cli::attended::unattended;
    let mut typed = Asked::or_person(Some(SecretSource::Prompt));
    let asked = unattended(|| typed.read(|| panic!("asked"), String::new, &Nothing));
    assert!(asked.unwrap().is_none());
    assert!(typed.is_typed());
}
