//! What an identity needs of the system for as long as a daemon holds it: so that the rest can be given
//! up.

use std::format;
use std::fs::{self, DirBuilder};
use std::io::{IsTerminal as _, stderr};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::string::{String, ToString as _};
use std::vec::Vec;

use crate::backend::secret::{Environment, SecretSource};
#[cfg(feature = "tpm-direct")]
use crate::backend::tpm::{Direct, KeyName};
use crate::cli::context::Context;
use crate::cli::error::CliError;
use crate::cli::identity_plan::IdentityPlan;
use crate::cli::place::Place;
use crate::cli::plan::Plan;
#[cfg(feature = "tpm-direct")]
use crate::cli::signer_process;
use crate::cli::sources::Sources;
use crate::host::config::Setting;
use crate::host::confine::Needs;
use crate::host::endpoint::Endpoint;
use crate::host::tls::Trust;
use crate::host::transport::TransportOptions;

/// What one identity, or several, or a daemon beside them needs.
#[derive(Debug, Default)]
pub struct Footprint {
    /// Files and ports.
    pub needs: Needs,
    /// Whether `keystead-signer` is needed.
    pub has_device: bool,
    /// The variables that hold secrets.
    pub secret_variables: Vec<String>,
    /// Why the daemon does not confine itself, if something speaks against it.
    pub unconfined: Option<String>,
}

/// DNS over TCP (RFC 7766), for answers that are too long for UDP.
const DNS: u16 = 53;

/// Where a machine in AWS may have its role, beside the usual addresses.
const OWN_ENDPOINTS: [&str; 2] = [
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_EC2_METADATA_SERVICE_ENDPOINT",
];

/// The file with what the first of them wants to see.
const OWN_TOKEN: &str = "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE";

impl Footprint {
    /// What an identity needs.
    ///
    /// # Errors
    /// [`CliError`] if a setting cannot be used.
    pub fn of(plan: &Plan, sources: &Sources<'_>, context: &Context<'_>) -> Result<Self, CliError> {
        let mut all = Self::default();
        all.add_identity(&plan.identity, context.environment);
        if sources.switch(Setting::NoConfine)? {
            all.unconfined = Some("no-confine is set".into());
        }
        if let Some((file, _)) = sources.configuration() {
            all.needs.read_file(file);
        }
        all.needs.read_system();
        all.reach(&plan.session.endpoint, &plan.network.transport);
        if plan.on_aws.is_some() {
            all.add_own_role(context.environment);
        }
        if let Some(state) = &plan.network.state {
            all.write(state);
        }
        if stderr().is_terminal() {
            all.needs.devices.push("/dev/tty".into());
        }
        Ok(all)
    }

    /// Adds what speaking to an endpoint takes, on whichever host of that service it is.
    pub fn reach(&mut self, endpoint: &Endpoint, transport: &TransportOptions) {
        if let Trust::Bundle(file) = &transport.trust {
            self.needs.read_file(file);
        }
        self.needs.connect.extend([DNS, port(endpoint)]);
        if let Some(proxy) = &transport.proxy {
            self.needs.connect.extend(url_ports(proxy));
        }
    }

    /// Adds a folder that is written in. If it is missing it is made: later it cannot be.
    pub fn write(&mut self, folder: &Path) {
        // A system that is read-only has nothing to be written.
        let _ = DirBuilder::new().recursive(true).mode(0o700).create(folder);
        self.needs.write.push(folder.into());
    }

    /// Adds what somebody else needs.
    pub fn add(&mut self, other: &Self) {
        let Needs {
            read,
            write,
            devices,
            connect,
            moves_files,
        } = other.needs.clone();
        self.needs.moves_files |= moves_files;
        self.needs.read.extend(read);
        self.needs.write.extend(write);
        self.needs.devices.extend(devices);
        self.needs.connect.extend(connect);
        self.has_device |= other.has_device;
        self.secret_variables
            .extend(other.secret_variables.iter().cloned());
        if self.unconfined.is_none() {
            self.unconfined.clone_from(&other.unconfined);
        }
    }

    /// What asking for a role takes that the machine has by itself.
    fn add_own_role(&mut self, environment: &dyn Environment) {
        self.needs.connect.extend([80, 443]);
        for name in OWN_ENDPOINTS {
            let url = environment.var(name).and_then(|url| url.into_string().ok());
            self.needs
                .connect
                .extend(url.iter().flat_map(|url| url_ports(url)));
        }
        if let Some(file) = environment.var(OWN_TOKEN) {
            self.needs.read_file(Path::new(&file));
        }
    }

    fn add_identity(&mut self, plan: &IdentityPlan, environment: &dyn Environment) {
        for place in [&plan.certificate, &plan.key].into_iter().flatten() {
            self.add_place(plan, place, environment);
        }
        if let Some(file) = &plan.intermediates {
            self.needs.read_file(file);
        }
        self.add_secret(plan.password.as_ref(), environment);
        #[cfg(feature = "pkcs11")]
        {
            self.add_secret(plan.token.pin.as_ref(), environment);
            if !plan.token.notify.is_empty() && self.has_device {
                self.starts_programs("notify-cmd");
            }
        }
        #[cfg(feature = "tpm-direct")]
        for source in [
            &plan.tpm.auths.key,
            &plan.tpm.auths.parent,
            &plan.tpm.auths.owner,
        ] {
            self.add_secret(source.as_ref(), environment);
        }
    }

    #[cfg_attr(
        not(any(feature = "pkcs11", feature = "tpm-direct")),
        expect(unused_variables, reason = "the secrets of files are elsewhere")
    )]
    fn add_place(&mut self, plan: &IdentityPlan, place: &Place, environment: &dyn Environment) {
        match place {
            Place::File(file) => self.needs.read_file(file),
            #[cfg(feature = "pkcs11")]
            Place::Token(place) => {
                self.has_device = true;
                self.add_secret(place.pin.as_ref(), environment);
            }
            #[cfg(feature = "tpm-direct")]
            Place::Tpm(place) => {
                match plan.tpm.direct_tcti(Some(place), environment) {
                    Some(tcti) => {
                        self.add_tpm(&tcti, plan.tpm.state.as_deref());
                        self.has_device |= signer_process::is_there()
                            && plan.tpm.may_take_signer(place, environment);
                    }
                    None => self.has_device = true,
                }
                if let KeyName::File(file) = &place.key {
                    self.needs.read_file(file);
                }
                self.add_secret(place.auth.as_ref(), environment);
                self.add_secret(place.parent_auth.as_ref(), environment);
            }
        }
    }

    /// Adds what using a key takes without `keystead-signer`.
    #[cfg(feature = "tpm-direct")]
    fn add_tpm(&mut self, tcti: &str, state: Option<&Path>) {
        let (device, port) = Direct::needs(tcti);
        self.needs.devices.extend(device);
        self.needs.connect.extend(port);
        if let Some(state) = state {
            self.write(state);
        }
    }

    fn add_secret(&mut self, source: Option<&SecretSource>, environment: &dyn Environment) {
        match source {
            Some(SecretSource::File(file)) => self.needs.read_file(file),
            Some(SecretSource::Env(name)) => self.secret_variables.push(name.clone()),
            // Of a pipe there is no more to be read.
            Some(SecretSource::Fd(fd)) => {
                if let Ok(file) = fs::read_link(format!("/proc/self/fd/{fd}")) {
                    self.needs.read.extend(file.is_absolute().then_some(file));
                }
            }
            Some(SecretSource::Cred(_)) => {
                let folder = environment.var("CREDENTIALS_DIRECTORY");
                self.needs.read.extend(folder.map(PathBuf::from));
            }
            Some(source @ SecretSource::Cmd(_)) => self.starts_programs(&source.to_string()),
            Some(SecretSource::Prompt | SecretSource::Literal(_)) | None => {}
        }
    }

    /// What a program needs that somebody has configured nobody knows.
    fn starts_programs(&mut self, what: &str) {
        self.unconfined = Some(format!("{what} starts a program"));
    }
}

fn port(endpoint: &Endpoint) -> u16 {
    let usual = if endpoint.tls { 443 } else { 80 };
    after_host(&endpoint.authority).unwrap_or(usual)
}

/// The port of a URL; where it names none, those that may be meant.
fn url_ports(url: &str) -> Vec<u16> {
    let authority = url.split_once("://").map_or(url, |(_, rest)| rest);
    let authority = authority.split('/').next().unwrap_or_default();
    match after_host(authority) {
        Some(port) => Vec::from([port]),
        None => Vec::from([80, 443, 1080]),
    }
}

/// The port behind the last colon; an IPv6 address without one ends in a bracket.
fn after_host(authority: &str) -> Option<u16> {
    authority.rsplit_once(':')?.1.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ffi::OsString;

    struct Variables;

    impl Environment for Variables {
        fn var(&self, name: &str) -> Option<OsString> {
            (name == "CREDENTIALS_DIRECTORY").then(|| "/run/credentials/keystead.service".into())
        }
    }

    #[test]
    fn secrets_are_read_from_where_they_are() {
        let footprint = |source: &str| {
            let mut footprint = Footprint::default();
            let source = source.parse().unwrap();
            footprint.add_secret(Some(&source), &Variables);
            footprint
        };
        let read = |source| footprint(source).needs.read;
        assert_eq!(read("file:/etc/keystead/pin"), [Path::new("/etc/keystead")]);
        let credentials = Path::new("/run/credentials/keystead.service");
        assert_eq!(read("cred:pin"), [credentials]);
        assert_eq!(footprint("env:PIN").secret_variables, ["PIN"]);
        let why = footprint("cmd:pinentry secret").unconfined;
        assert_eq!(why.as_deref(), Some("cmd:pinentry … starts a program"));
        assert_eq!(footprint("prompt").unconfined, None);
    }

    #[test]
    fn ports_of_urls() {
        let port = |url| port(&Endpoint::custom(url).unwrap());
        assert_eq!(port("https://rolesanywhere.eu-west-1.amazonaws.com"), 443);
        assert_eq!(port("http://127.0.0.1:8080"), 8080);
        assert_eq!(port("https://[::1]"), 443);
        assert_eq!(port("https://[::1]:8443"), 8443);
        assert_eq!(url_ports("http://user:secret@proxy:3128/"), [3128]);
        assert_eq!(url_ports("http://proxy"), [80, 443, 1080]);
        assert_eq!(url_ports("proxy:8080"), [8080]);
    }

    #[test]
    fn several_together() {
        let mut all = Footprint::default();
        let mut one = Footprint::default();
        one.add_secret(Some(&"env:PIN".parse().unwrap()), &Variables);
        one.has_device = true;
        one.needs.connect.push(443);
        all.add(&one);
        all.add(&Footprint::default());
        assert!(all.has_device);
        assert_eq!(all.secret_variables, ["PIN"]);
        assert_eq!(all.needs.connect, [443]);
    }
}
