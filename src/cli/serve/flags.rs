//! The flags of `keystead serve` beside those of an identity.

use std::ffi::OsString;

use clap::{Arg, ArgAction, Command, value_parser};

use crate::host::serve_config::ServeSetting;

const HEADING: &str = "Endpoints";

/// The flag of AWS's helper.
pub const PORT: &str = "port";

/// The command with the flags of its own.
pub fn add(command: Command) -> Command {
    let own = ServeSetting::ALL.into_iter();
    let own = own.filter(|setting| *setting != ServeSetting::Identities);
    command
        .mut_arg(ServeSetting::Identities.flag(), |arg| {
            arg.action(ArgAction::Append)
                .help("Serve [identity.NAME] of keystead.toml; may be given several times")
        })
        .args(own.map(flag))
        .arg(
            Arg::new(PORT)
                .long(PORT)
                .value_name("PORT")
                .value_parser(value_parser!(OsString))
                .help("As aws_signing_helper: IMDS at this port of 127.0.0.1, and nothing else")
                .help_heading(HEADING),
        )
}

fn flag(setting: ServeSetting) -> Arg {
    let (value, help) = describe(setting);
    let arg = Arg::new(setting.flag())
        .long(setting.flag())
        .value_name(value)
        .value_parser(value_parser!(OsString))
        .help(help)
        .help_heading(HEADING);
    let arg = match setting.is_list() {
        true => arg.action(ArgAction::Append),
        false => arg,
    };
    match setting {
        ServeSetting::Imds | ServeSetting::AllowRemote => arg
            .num_args(0..=1)
            .require_equals(true)
            .default_missing_value("true"),
        _ => arg,
    }
}

fn describe(setting: ServeSetting) -> (&'static str, &'static str) {
    match setting {
        ServeSetting::Identities => ("NAME", ""),
        ServeSetting::Listen => (
            "ADDR:PORT",
            "Where the container endpoint is, or `none` [default: 127.0.0.1:9912]",
        ),
        ServeSetting::Imds => (
            "[NAME=]ADDR:PORT",
            "Open IMDS, which every program of this machine can read [default: 127.0.0.1:9911; further \
             identities at the next ports]",
        ),
        ServeSetting::Bind => (
            "ADDR",
            "The address of both, if they are not given one: loopback, 169.254.170.2, 169.254.170.23, \
             fd00:ec2::23; others need --allow-remote",
        ),
        ServeSetting::Socket => ("PATH", "The container endpoint at a Unix socket as well"),
        ServeSetting::TokenFile => (
            "FILE",
            "Where the token for clients of the container endpoint is written [default: serve.token in \
             $RUNTIME_DIRECTORY or $XDG_RUNTIME_DIR/keystead]",
        ),
        ServeSetting::TokenGroup => ("GROUP", "Let this group read the token file, too"),
        ServeSetting::AllowUid => ("USER", "Refuse programs of other users than these (Linux)"),
        ServeSetting::AllowHost => ("NAME", "A further name of this machine in requests"),
        ServeSetting::AllowRemote => ("BOOL", "Let other machines come, with TLS and the token"),
        ServeSetting::TlsCert => ("FILE", "The certificate for other machines, with its chain"),
        ServeSetting::TlsKey => ("FILE", "The key of that certificate"),
        ServeSetting::HopLimit => (
            "N",
            "How many hops answers travel [default for IMDS: 1; 64 as aws_signing_helper]",
        ),
    }
}
