//! Where a bucket is, and how it is reached.

use std::format;
use std::string::String;

use crate::backend::secret::Environment;
use crate::cli::context::Context;
use crate::cli::error::CliError;
use crate::cli::flags::parse_switch;
use crate::cli::settings::Settings;
use crate::cli::sources::{Origin, Sources};
use crate::host::config::Setting;
use crate::host::endpoint::{self, Endpoint};
use crate::host::push_config::PushSetting;
use crate::host::s3::{Bucket, Place, Style};
use crate::host::section::SectionSetting as _;

/// What AWS's programs call the server of S3, and any server.
const ENDPOINT_VARIABLES: [&str; 2] = ["AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"];

/// With a truth value: AWS's programs take no notice of those then.
const IGNORED: &str = "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS";

/// Where servers of others want requests to be signed for, if nobody says anything.
const REGION_OF_OTHERS: &str = "us-east-1";

/// Where buckets are.
#[derive(Debug, Clone)]
pub struct PlacePlan {
    /// Region, server, addressing.
    pub place: Place,
    /// The account that the bucket has to be of.
    pub expected_owner: Option<String>,
}

impl PlacePlan {
    /// Checks what the settings say. `of_identity` is the region of the identity, if its credentials are used.
    ///
    /// # Errors
    /// [`CliError`], a usage error naming where the value comes from.
    pub fn new(
        settings: &Settings<'_>,
        sources: &Sources<'_>,
        of_identity: Option<&str>,
        context: &Context<'_>,
    ) -> Result<Self, CliError> {
        let endpoint = own_endpoint(settings, sources, context.environment)?;
        let dual_stack = settings.switch(PushSetting::S3DualStack)?;
        let fips = settings.switch(PushSetting::S3Fips)?;
        if endpoint.is_some() && (dual_stack || fips) {
            return Err(CliError::usage(
                "a server of your own goes together with neither s3-fips nor s3-dual-stack",
                "they choose among AWS's own endpoints; name the one that you want with --s3-endpoint",
            ));
        }
        let path = settings.switch(PushSetting::PathStyle)?;
        let virtual_host = settings.switch(PushSetting::VirtualHost)?;
        let place = Place {
            region: region(
                settings,
                of_identity,
                endpoint.is_some(),
                context.environment,
            )?,
            endpoint,
            style: match (path, virtual_host) {
                (false, false) => Style::Auto,
                (true, false) => Style::Path,
                (false, true) => Style::VirtualHost,
                (true, true) => {
                    return Err(CliError::usage(
                        "path-style and virtual-host are both given",
                        "the bucket's name stands in one place: leave one of them out",
                    ));
                }
            },
            dual_stack,
            fips,
        };
        Ok(Self {
            place,
            expected_owner: settings.parsed(PushSetting::ExpectedBucketOwner, account)?,
        })
    }
}

impl PlacePlan {
    /// The bucket of that name.
    ///
    /// # Errors
    /// [`CliError`] if there can be none.
    pub fn bucket(&self, name: &str) -> Result<Bucket, CliError> {
        let mut bucket = Bucket::new(name, &self.place)
            .map_err(|error| CliError::usage(format!("s3://{name}: {error}"), ""))?;
        bucket.expected_owner = self.expected_owner.clone();
        Ok(bucket)
    }
}

/// Who says which server of one's own is used, and which it is.
fn own_endpoint(
    settings: &Settings<'_>,
    sources: &Sources<'_>,
    environment: &dyn Environment,
) -> Result<Option<Endpoint>, CliError> {
    let Some((endpoint, origin)) = named_endpoint(settings, environment)? else {
        return Ok(None);
    };
    if !endpoint.tls && !endpoint.is_loopback() && !sources.switch(Setting::AllowHttp)? {
        return Err(CliError::usage(
            format!(
                "{origin}: {} is another machine's and has no TLS: session tokens and data would cross the \
                 network in clear",
                endpoint.url("")
            ),
            "use https://, or --allow-http where the network is protected otherwise",
        ));
    }
    Ok(Some(endpoint))
}

fn named_endpoint(
    settings: &Settings<'_>,
    environment: &dyn Environment,
) -> Result<Option<(Endpoint, Origin)>, CliError> {
    if let Some(endpoint) = settings.parsed(PushSetting::S3Endpoint, Endpoint::custom)? {
        let given = settings.get(PushSetting::S3Endpoint);
        let origin = given.map_or(Origin::Flag("s3-endpoint"), |given| given.origin);
        return Ok(Some((endpoint, origin)));
    }
    let is_ignored = environment.var(IGNORED);
    if is_ignored.and_then(|value| parse_switch(&value)) == Some(true) {
        return Ok(None);
    }
    let named = ENDPOINT_VARIABLES.into_iter().find_map(|name| {
        let value = environment.var(name).filter(|value| !value.is_empty())?;
        Some((name, value))
    });
    let Some((name, value)) = named else {
        return Ok(None);
    };
    let endpoint = value.to_str().map(Endpoint::custom);
    let what = match endpoint {
        Some(Ok(endpoint)) => return Ok(Some((endpoint, Origin::Variable(name.into())))),
        Some(Err(error)) => format!("{name}: {error}"),
        None => format!("{name} is not UTF-8"),
    };
    Err(CliError::usage(what, "--s3-endpoint names another one"))
}

fn region(
    settings: &Settings<'_>,
    of_identity: Option<&str>,
    is_of_others: bool,
    environment: &dyn Environment,
) -> Result<String, CliError> {
    // Servers of others call their regions what they like.
    let given = settings.parsed(PushSetting::S3Region, |region| match region {
        region if endpoint::is_region(region) => Ok(String::from(region)),
        region if is_of_others && is_word(region) => Ok(region.into()),
        _ => Err("this is no region such as eu-west-1"),
    })?;
    if let Some(region) = given.or(of_identity.map(String::from)) {
        return Ok(region);
    }
    let variables = ["AWS_REGION", "AWS_DEFAULT_REGION"].into_iter();
    let variable = variables
        .filter_map(|name| environment.var(name)?.into_string().ok())
        .find(|region| is_word(region));
    match variable {
        Some(region) => Ok(region),
        None if is_of_others => Ok(REGION_OF_OTHERS.into()),
        None => Err(CliError::usage(
            "nobody says which region the bucket is in",
            format!(
                "give --s3-region, or set {} or AWS_REGION",
                PushSetting::S3Region.variable_name()
            ),
        )),
    }
}

/// What can stand in a credential scope.
fn is_word(region: &str) -> bool {
    let of_word = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
    (1..=64).contains(&region.len()) && region.bytes().all(of_word)
}

fn account(text: &str) -> Result<String, &'static str> {
    match text.len() == 12 && text.bytes().all(|byte| byte.is_ascii_digit()) {
        true => Ok(text.into()),
        false => Err("an account's number has 12 digits"),
    }
}
