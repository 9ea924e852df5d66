//! What people read of each [`Setting`] in a command's help.

use crate::host::config::Setting;

/// Heading: certificate and key.
pub const IDENTITY: &str = "Identity";
/// Heading: keys in PKCS#11 tokens.
pub const TOKENS: &str = "Tokens";
/// Heading: keys in TPMs.
pub const TPM: &str = "TPM";
/// Heading: what is asked for.
pub const AWS: &str = "AWS";
/// Heading: how the service is reached.
pub const NETWORK: &str = "Network";
/// Heading: credentials that are kept.
pub const CACHE: &str = "Cache";
/// Heading: what is printed.
pub const OUTPUT: &str = "Output";
/// The heading of what is about daemons.
pub const DAEMON: &str = "Daemons";

/// How people see a flag: the heading that it stands under, what its value is called (switches have
/// none), and what it does.
pub struct Description {
    /// The heading.
    pub heading: &'static str,
    /// What its value is called.
    pub value: Option<&'static str>,
    /// What it does.
    pub help: &'static str,
}

/// How people see the flag of a setting.
pub fn describe(setting: Setting) -> Description {
    let flag = |heading, value, help| Description {
        heading,
        value: Some(value),
        help,
    };
    let switch = |heading, help| Description {
        heading,
        value: None,
        help,
    };
    match setting {
        Setting::Certificate => flag(
            IDENTITY,
            "FILE|URI",
            "Certificate, chain of certificates, or PKCS#12 file; or pkcs11:… (RFC 7512) for one in a \
             token, whose key is then found beside it",
        ),
        Setting::Key => flag(
            IDENTITY,
            "FILE|URI",
            "Private key; pkcs11:… for one in a token; tpm:handle=0x81…, handle:0x81…, tpm:file=… or a file \
             TSS2 PRIVATE KEY for one of a TPM; not needed where the certificate's file or token holds it",
        ),
        Setting::Intermediates => flag(
            IDENTITY,
            "FILE",
            "Certificates between the certificate and the trust anchor",
        ),
        Setting::PasswordSource => flag(
            IDENTITY,
            "SOURCE",
            "Where the key's password, PIN or auth value comes from: file:PATH, env:NAME, fd:N, cred:NAME \
             (systemd), cmd:PROGRAM, or prompt",
        ),
        Setting::SkipCertificateRules => switch(
            IDENTITY,
            "Send the certificate even if Roles Anywhere is going to refuse it",
        ),
        Setting::Strict => switch(
            IDENTITY,
            "Refuse key files that others can read, and passwords on the command line",
        ),
        Setting::Pkcs11Lib => flag(
            TOKENS,
            "FILE",
            "PKCS#11 module for URIs that name none [default: p11-kit's proxy, which knows all that \
             are installed]",
        ),
        Setting::ReusePin => switch(
            TOKENS,
            "Ask once for the PIN of a key that wants it for each signature",
        ),
        Setting::RequireHardware => switch(
            TOKENS,
            "Refuse a key unless its module claims that it was made in hardware and never left it, or a TPM \
             holds it",
        ),
        Setting::Isolate => switch(TOKENS, "Run the module in a process of its own"),
        Setting::NotifyCmd => flag(
            TOKENS,
            "PROGRAM",
            "Where there is no terminal, tell a person through this program (its last argument) to \
             touch the token",
        ),
        Setting::TokenTimeout => flag(
            TOKENS,
            "DURATION",
            "How long one call of an isolated module, or one command of a TPM, may take [default: 30s]",
        ),
        Setting::Tcti => flag(
            TPM,
            "TCTI",
            "How the TPM is reached, where the key's URI does not say it: device:PATH, tabrmd, swtpm:… \
             [default: device:/dev/tpmrm0, else what TPM2TOOLS_TCTI or TCTI say, else device:/dev/tpm0]",
        ),
        Setting::ParentAuthSource => flag(
            TPM,
            "SOURCE",
            "Where the auth value of the key's parent comes from",
        ),
        Setting::OwnerAuthSource => flag(
            TPM,
            "SOURCE",
            "Where the auth value of the owner hierarchy comes from",
        ),
        Setting::TpmPlainAuth => switch(
            TPM,
            "Send auth values to the TPM in clear, where others may listen: faster on slow TPMs",
        ),
        Setting::TpmTransport => flag(
            TPM,
            "TRANSPORT",
            "How a TPM's keys are used: direct (in its own protocol), tss (through keystead-signer and libtss2), or \
             auto, direct where that does [default: auto]",
        ),
        Setting::TrustAnchorArn => flag(AWS, "ARN", "Trust anchor that the certificate chains to"),
        Setting::ProfileArn => flag(AWS, "ARN", "Profile that lists the role"),
        Setting::RoleArn => flag(AWS, "ARN", "Role to assume"),
        Setting::SessionDuration => flag(
            AWS,
            "DURATION",
            "How long the credentials live, 15m to 12h, as 30m or in seconds [default: 1h]",
        ),
        Setting::RoleSessionName => flag(
            AWS,
            "NAME",
            "Name of the session; the profile has to allow it",
        ),
        Setting::Region => flag(
            AWS,
            "REGION",
            "Region to sign for and send to [default: the trust anchor's]",
        ),
        Setting::Endpoint => flag(
            AWS,
            "URL",
            "Another endpoint: a VPC endpoint, keystead sandbox",
        ),
        Setting::Fips => switch(AWS, "Use the region's FIPS endpoint"),
        Setting::DualStack => switch(AWS, "Use the region's dual-stack (IPv6) endpoint"),
        Setting::UnlessOnAws => switch(
            AWS,
            "Use the role of the EC2 instance or container that this machine is, if it is one and has one",
        ),
        Setting::ExpectAccount => flag(
            AWS,
            "ID",
            "Take no role of another account than this, be it the machine's own",
        ),
        Setting::CaBundle => flag(
            NETWORK,
            "FILE",
            "Trust these root certificates instead of the system's [also: AWS_CA_BUNDLE]",
        ),
        Setting::WithProxy => switch(
            NETWORK,
            "Use the proxy that HTTPS_PROXY, HTTP_PROXY and NO_PROXY name",
        ),
        Setting::Proxy => flag(NETWORK, "URL", "Use this proxy"),
        Setting::ConnectTimeout => flag(
            NETWORK,
            "DURATION",
            "How long a connection may take to be made [default: 10s]",
        ),
        Setting::Timeout => flag(
            NETWORK,
            "DURATION",
            "How long all attempts together may take [default: 60s]",
        ),
        Setting::MaxAttempts => flag(
            NETWORK,
            "COUNT",
            "How often a request is sent before it is given up [default: 3]",
        ),
        Setting::NoVerifySsl => switch(
            NETWORK,
            "Do not verify the service's certificate: whoever is in between can take the \
             credentials. --ca-bundle is the better way",
        ),
        Setting::AllowHttp => switch(
            NETWORK,
            "Allow an http:// endpoint on another machine: credentials cross the network in clear",
        ),
        Setting::CorrectClock => switch(
            NETWORK,
            "Where this machine's clock is wrong, sign with the service's",
        ),
        Setting::StateDir => flag(
            IDENTITY,
            "DIRECTORY",
            "Where refused PINs and auth values, and the last verified time, are remembered [also: \
             STATE_DIRECTORY]",
        ),
        Setting::NoCache => switch(CACHE, "Ask for a new session each time"),
        Setting::CacheDir => flag(
            CACHE,
            "DIRECTORY",
            "Keep credentials here, be it on a disk [default: in memory, in $XDG_RUNTIME_DIR or \
             $RUNTIME_DIRECTORY]",
        ),
        Setting::CacheMinLife => flag(
            CACHE,
            "DURATION",
            "Use kept credentials that live at least so long [default: 15m, or half of their life if \
             that is less]",
        ),
        Setting::NoConfine => switch(
            DAEMON,
            "Let `serve` and `update` keep the rights that they do not need",
        ),
    }
}
