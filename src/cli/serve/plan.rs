//! What `keystead serve` opens, everything checked before anything is opened.

use core::iter;
use core::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::format;
use std::path::PathBuf;
use std::string::{String, ToString as _};
use std::vec;
use std::vec::Vec;

use clap::ArgMatches;

use super::flags::PORT;
use super::handed::Handed;
use super::token_file::{self, TokenFile};
use crate::cli::context::Context;
use crate::cli::daemon::{accounts, is_remote};
use crate::cli::error::CliError;
use crate::cli::flags;
use crate::cli::settings::Settings;
use crate::host::serve_config::ServeSetting;
use crate::output::serve;

/// The port of the container's endpoint.
const CONTAINER_PORT: u16 = 9912;

/// The port of AWS's helper.
const IMDS_PORT: u16 = 9911;

/// As EC2 has it: an answer reaches this machine, and nobody behind a router.
const IMDS_HOPS: u8 = 1;

/// As AWS's helper has it.
const HELPER_HOPS: u8 = 64;

/// What is opened.
#[derive(Debug)]
pub struct ServePlan {
    /// The identities by name; none means what flags and variables say, or the only one of the file.
    pub identities: Vec<String>,
    /// Where the container's endpoint is.
    pub container: Vec<SocketAddr>,
    /// Where IMDS is.
    pub imds: Vec<ImdsPlan>,
    /// A Unix socket for the container's endpoint.
    pub socket: Option<PathBuf>,
    /// Where the token is kept, if anything needs one.
    pub token: Option<TokenFile>,
    /// Whose programs may connect, if not everyone's.
    pub allow_uids: Option<Vec<u32>>,
    /// Further names of this machine.
    pub hosts: Vec<String>,
    /// Certificate and key for addresses that other machines reach.
    pub tls: Option<(PathBuf, PathBuf)>,
    /// How many hops answers of the container's endpoint travel, if not as many as usual.
    pub hops: Option<u8>,
    /// How many hops IMDS's answers travel.
    pub imds_hops: u8,
    /// Whether the program stands in for AWS's helper.
    pub drop_in: bool,
}

/// Where an identity's IMDS is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ImdsPlan {
    /// The identity's index.
    pub identity: usize,
    /// The address.
    pub address: SocketAddr,
}

impl ServePlan {
    /// Checks everything that flags, environment and file say. Sockets that were handed over take the place
    /// of addresses.
    ///
    /// # Errors
    /// [`CliError`], a usage error naming where the value comes from.
    pub fn new(
        matches: &ArgMatches,
        context: &Context<'_>,
        handed: &Handed,
    ) -> Result<Self, CliError> {
        let settings = Settings::new(matches, context)?;
        let identities = identities(&settings)?;
        let port = port(matches)?;
        let bind = settings.parsed(ServeSetting::Bind, str::parse::<IpAddr>)?;
        let base = bind.unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST));
        let socket = match handed.is_any() {
            true => handed.unix_path(),
            false => settings.path(ServeSetting::Socket),
        };
        // Who names a port wants what AWS's helper opens: IMDS alone.
        let as_helper = context.drop_in || port.is_some();
        let container = match settings.get(ServeSetting::Listen) {
            _ if handed.is_any() => handed.container(),
            Some(_) => listen(&settings)?,
            None if as_helper => vec![],
            None => vec![SocketAddr::new(base, CONTAINER_PORT)],
        };
        let imds = match handed.is_any() {
            true => handed_imds(handed, &identities)?,
            false => imds(
                &settings,
                &Row {
                    identities: &identities,
                    taken: &container,
                },
                base,
                port,
                context.drop_in,
            )?,
        };
        let hops = settings.parsed(ServeSetting::HopLimit, hop_limit)?;
        let imds_hops = if context.drop_in {
            HELPER_HOPS
        } else {
            IMDS_HOPS
        };
        let plan = Self {
            token: match container.is_empty() && socket.is_none() {
                true => None,
                false => Some(token(&settings, context)?),
            },
            allow_uids: match settings.all(ServeSetting::AllowUid, accounts::user)? {
                all if all.is_empty() => None,
                all => Some(all),
            },
            hosts: settings.all(ServeSetting::AllowHost, host)?,
            tls: tls(&settings)?,
            identities,
            container,
            imds,
            socket,
            hops,
            imds_hops: hops.unwrap_or(imds_hops),
            drop_in: context.drop_in,
        };
        plan.check_reach(settings.switch(ServeSetting::AllowRemote)?)?;
        Ok(plan)
    }

    /// Refuses addresses that other machines reach, unless all is done for them.
    fn check_reach(&self, allow_remote: bool) -> Result<(), CliError> {
        if let Some(imds) = self.imds.iter().find(|imds| is_remote(imds.address.ip())) {
            return Err(CliError::usage(
                format!(
                    "IMDS at {}: it gives credentials to everyone who reaches it",
                    imds.address
                ),
                "IMDS is at a loopback address, 169.254.170.2, 169.254.170.23 or fd00:ec2::23 alone; other \
                 machines use the container endpoint, with TLS and the token",
            ));
        }
        let Some(address) = self
            .container
            .iter()
            .find(|address| is_remote(address.ip()))
        else {
            return match &self.tls {
                None => Ok(()),
                Some(_) => Err(CliError::usage(
                    "tls-cert and tls-key are for addresses that other machines reach",
                    "leave them out: on this machine programs take http",
                )),
            };
        };
        let what = format!("other machines reach {address}");
        if !allow_remote {
            return Err(CliError::usage(
                what,
                "--allow-remote says that they may; it needs --tls-cert and --tls-key",
            ));
        }
        if self.tls.is_none() {
            return Err(CliError::usage(
                format!("{what}, and the credentials would cross the network in clear"),
                "--tls-cert and --tls-key name a certificate and its key",
            ));
        }
        if !self.imds.is_empty() {
            return Err(CliError::usage(
                format!("{what}, and IMDS is not for them"),
                "leave --imds out, or start a second `keystead serve` for it",
            ));
        }
        if address.ip().is_unspecified() && self.hosts.is_empty() {
            return Err(CliError::usage(
                format!("{address} says nothing about the name by which others reach this machine"),
                "--allow-host names it",
            ));
        }
        Ok(())
    }
}

fn identities(settings: &Settings<'_>) -> Result<Vec<String>, CliError> {
    let names = settings.all(ServeSetting::Identities, name_of_path)?;
    for (index, name) in names.iter().enumerate() {
        if names[..index].contains(name) {
            return Err(CliError::usage(
                format!("the identity {name} is given twice"),
                "each is served once",
            ));
        }
    }
    match settings.only_identity() {
        Some(only) if names.is_empty() => {
            let only = name_of_path(only)
                .map_err(|why| CliError::usage(format!("the identity `{only}`: {why}"), ""))?;
            Ok(vec![only])
        }
        _ => Ok(names),
    }
}

fn name_of_path(name: &str) -> Result<String, &'static str> {
    match serve::is_name(name) {
        true => Ok(name.to_string()),
        false => Err("its name becomes part of a path: letters, digits, and . _ - are for that"),
    }
}

/// `--port`, as AWS's helper has it.
fn port(matches: &ArgMatches) -> Result<Option<u16>, CliError> {
    let Some(value) = flags::value(matches, PORT) else {
        return Ok(None);
    };
    let port = value.to_str().and_then(|text| text.parse().ok());
    port.map(Some)
        .ok_or_else(|| CliError::usage("--port: this is no port", "ports are from 0 to 65535"))
}

/// The addresses of the container's endpoint; `none` for none.
fn listen(settings: &Settings<'_>) -> Result<Vec<SocketAddr>, CliError> {
    let addresses = settings.all(ServeSetting::Listen, |text| match text {
        "none" => Ok(None),
        text => address(text).map(Some),
    })?;
    Ok(addresses.into_iter().flatten().collect())
}

fn address(text: &str) -> Result<SocketAddr, &'static str> {
    text.parse()
        .map_err(|_| "this is no address and port such as 127.0.0.1:9912 or [::1]:9912")
}

/// A value of `imds`.
enum Imds {
    Switch(bool),
    At(Option<String>, SocketAddr),
}

fn read_imds(text: &str) -> Result<Imds, &'static str> {
    if let Some(switch) = flags::parse_switch(text.as_ref()) {
        return Ok(Imds::Switch(switch));
    }
    let (name, place) = match text.split_once('=') {
        Some((name, place)) => (Some(name.to_string()), place),
        None => (None, text),
    };
    Ok(Imds::At(name, address(place)?))
}

/// Identities whose IMDS follow one another.
struct Row<'a> {
    identities: &'a [String],
    /// The container endpoint's addresses, whose ports they leave out.
    taken: &'a [SocketAddr],
}

impl Row<'_> {
    /// The first one at that port, which was asked for, the others after it; all of them at port 0 if it is that,
    /// for the system to choose.
    fn from(&self, first: SocketAddr) -> Result<Vec<ImdsPlan>, CliError> {
        let is_free = |port: &u16| self.taken.iter().all(|taken| taken.port() != *port);
        let others = (first.port()..=u16::MAX).skip(1).filter(is_free);
        let mut ports = iter::once(first.port()).chain(others);
        let count = self.identities.len().max(1);
        let mut plans = Vec::with_capacity(count);
        for identity in 0..count {
            let port = match first.port() {
                0 => 0,
                _ => ports.next().ok_or_else(|| {
                    CliError::usage("there are more identities than ports for their IMDS", "")
                })?,
            };
            let address = SocketAddr::new(first.ip(), port);
            plans.push(ImdsPlan { identity, address });
        }
        Ok(plans)
    }
}

/// Where each identity's IMDS is. Those that are not given an address follow one another from the port.
fn imds(
    settings: &Settings<'_>,
    row: &Row<'_>,
    base: IpAddr,
    port: Option<u16>,
    drop_in: bool,
) -> Result<Vec<ImdsPlan>, CliError> {
    let identities = row.identities;
    let given = settings.all(ServeSetting::Imds, read_imds)?;
    let mut plans: Vec<ImdsPlan> = vec![];
    let mut is_on = None;
    for value in given {
        match value {
            Imds::Switch(on) => is_on = Some(on),
            Imds::At(None, address) => plans = row.from(address)?,
            Imds::At(Some(name), address) => {
                let identity = identities.iter().position(|known| *known == name);
                let identity = identity.ok_or_else(|| {
                    let what =
                        format!("imds: the identity {name} is not among those that are served");
                    CliError::usage(what, "--identity, or identities in [serve], names them")
                })?;
                plans.push(ImdsPlan { identity, address });
            }
        }
    }
    if let Some(port) = port {
        // AWS's helper listens there whatever else is said.
        return row.from(SocketAddr::new(base, port));
    }
    if plans.is_empty() && is_on.unwrap_or(drop_in) {
        return row.from(SocketAddr::new(base, IMDS_PORT));
    }
    Ok(plans)
}

/// Which identity's IMDS is behind each socket that was handed over; without a name, the first one's.
fn handed_imds(handed: &Handed, identities: &[String]) -> Result<Vec<ImdsPlan>, CliError> {
    let plans = handed.imds().map(|(name, address)| {
        let identity = match name {
            None => Some(0),
            Some(name) => identities.iter().position(|known| known == name),
        };
        let identity = identity.ok_or_else(|| {
            let name = name.unwrap_or_default();
            CliError::usage(
                format!("the service manager has opened a socket imds-{name}, and no such identity is served"),
                "identities in [serve] names them",
            )
        })?;
        Ok(ImdsPlan { identity, address })
    });
    plans.collect()
}

fn hop_limit(text: &str) -> Result<u8, &'static str> {
    match text.parse() {
        Ok(hops @ 1..) => Ok(hops),
        _ => Err("the number of hops is from 1 to 255"),
    }
}

fn host(text: &str) -> Result<String, &'static str> {
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b".-:[]".contains(&byte);
    match text.bytes().all(is_name) {
        true => Ok(text.to_string()),
        false => Err("this is no host name"),
    }
}

fn tls(settings: &Settings<'_>) -> Result<Option<(PathBuf, PathBuf)>, CliError> {
    let certificate = settings.path(ServeSetting::TlsCert);
    let key = settings.path(ServeSetting::TlsKey);
    match (certificate, key) {
        (Some(certificate), Some(key)) => Ok(Some((certificate, key))),
        (None, None) => Ok(None),
        _ => Err(CliError::usage(
            "tls-cert and tls-key go together",
            "one names the certificate, the other its key",
        )),
    }
}

fn token(settings: &Settings<'_>, context: &Context<'_>) -> Result<TokenFile, CliError> {
    let group = settings.parsed(ServeSetting::TokenGroup, accounts::group)?;
    if let Some(path) = settings.path(ServeSetting::TokenFile) {
        return Ok(TokenFile { path, group });
    }
    if let Some(path) = token_file::of_service(context.environment) {
        return Ok(TokenFile { path, group });
    }
    let path = token_file::of_user(context.environment).ok_or_else(|| {
        CliError::usage(
            "there is no place for the token: neither RUNTIME_DIRECTORY nor XDG_RUNTIME_DIR is set",
            "--token-file FILE names one",
        )
    })?;
    match group {
        None => Ok(TokenFile { path, group }),
        Some(_) => Err(CliError::usage(
            "the token is in XDG_RUNTIME_DIR, where no group can enter",
            "--token-file FILE names it in a folder that the group of --token-group can enter",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn imds_of_several_identities_leaves_the_containers_port_out() {
        let identities = ["hub", "lab", "van"].map(String::from);
        let at = |port| SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port);
        let ports = |first, taken: &[SocketAddr]| {
            let identities = &identities;
            let plans = Row { identities, taken }.from(at(first));
            plans.map(|plans| {
                plans
                    .iter()
                    .map(|plan| plan.address.port())
                    .collect::<Vec<_>>()
            })
        };
        assert_eq!(ports(9911, &[at(9912)]).unwrap(), [9911, 9913, 9914]);
        assert_eq!(ports(9911, &[]).unwrap(), [9911, 9912, 9913]);
        // What was asked for is not moved: that the port is taken is an error.
        assert_eq!(ports(9912, &[at(9912)]).unwrap(), [9912, 9913, 9914]);
        assert_eq!(ports(0, &[at(9912)]).unwrap(), [0, 0, 0]);
        assert!(ports(65_534, &[at(9912)]).is_err());
    }
}
