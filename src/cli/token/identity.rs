//! From the plan to keys and certificates in tokens.

use std::boxed::Box;
use std::string::ToString as _;
use std::vec::Vec;

use super::error;
use super::place::TokenPlace;
use crate::backend::pkcs11::{FoundCertificate, Leaf, OpenKey, OpenedKey, Uri};
use crate::backend::{BoxedSigner, Identity};
use crate::cli::context::Context;
use crate::cli::error::CliError;
use crate::cli::identity;
use crate::cli::identity_plan::IdentityPlan;
use crate::cli::place::Place;
use crate::core::identity::same_key;
use crate::core::x509::Certificate;

/// Opens certificate and key if one of them is in a token; `None` if both are in files.
///
/// # Errors
/// [`CliError`] naming the token or the file.
pub fn open(plan: &IdentityPlan, context: &Context<'_>) -> Result<Option<Identity>, CliError> {
    let identity = match (&plan.certificate, &plan.key) {
        (Some(Place::Token(certificate)), None) => beside(plan, certificate, None, context),
        (Some(Place::Token(certificate)), Some(Place::Token(key)))
            if plan.token.module_of(Some(certificate)) == plan.token.module_of(Some(key)) =>
        {
            beside(plan, certificate, Some(key), context)
        }
        (Some(Place::Token(certificate)), Some(Place::Token(key))) => {
            let found = Certificates::find(plan, certificate, context)?;
            let leaf = Leaf::OneOf(found.matching_der());
            let opened = open_key(plan, Some(key), Some(certificate), leaf, context)?;
            found.identity(plan, certificate, opened.signer, context)
        }
        (Some(Place::Token(certificate)), Some(Place::File(key))) => {
            let signer = identity::open_key_file(plan, key, context)?;
            let found = Certificates::find(plan, certificate, context)?;
            found.identity(plan, certificate, signer, context)
        }
        (Some(Place::File(certificate)), Some(Place::Token(key))) => {
            let certificates = identity::read_certificates(certificate)?;
            let leaf = Leaf::OneOf(certificates.clone());
            let opened = open_key(plan, Some(key), None, leaf, context)?;
            let name = certificate.display().to_string();
            identity::join(plan, &name, certificates, opened.signer, context)
        }
        _ => return Ok(None),
    };
    identity.map(Some)
}

/// Opens a key, of which nothing has to be certified.
///
/// # Errors
/// [`CliError`] naming the token.
pub fn open_signer(
    plan: &IdentityPlan,
    key: &TokenPlace,
    context: &Context<'_>,
) -> Result<BoxedSigner, CliError> {
    // A token without its public key still has it in the certificate.
    let (leaf, certificate) = match &plan.certificate {
        None => (Leaf::None, None),
        Some(Place::Token(place)) => (Leaf::Token(Box::new(place.uri.clone())), Some(&**place)),
        Some(Place::File(path)) => {
            let certificates = identity::read_certificates(path)?;
            (Leaf::OneOf(certificates), None)
        }
        #[cfg(feature = "tpm-direct")]
        Some(place @ Place::Tpm(_)) => return Err(place.no_certificate()),
    };
    open_key(plan, Some(key), certificate, leaf, context).map(|opened| opened.signer)
}

/// The certificates that a URI names.
///
/// # Errors
/// [`CliError`] naming the token; there is at least one.
pub fn certificates(
    plan: &IdentityPlan,
    place: &TokenPlace,
    context: &Context<'_>,
) -> Result<Vec<FoundCertificate>, CliError> {
    Certificates::find(plan, place, context).map(|found| found.matching)
}

/// Opens a key on the same token as its certificate, or through the same module.
fn beside(
    plan: &IdentityPlan,
    certificate: &TokenPlace,
    key: Option<&TokenPlace>,
    context: &Context<'_>,
) -> Result<Identity, CliError> {
    let leaf = Leaf::Token(Box::new(certificate.uri.clone()));
    let opened = open_key(plan, key, Some(certificate), leaf, context)?;
    let name = certificate.uri.to_string();
    let mut all = opened.certificates.into_iter();
    let leaf = all.next().into_iter().collect();
    let certificates = with_issuers(leaf, all, opened.signer.public_key());
    identity::join(plan, &name, certificates, opened.signer, context)
}

fn open_key(
    plan: &IdentityPlan,
    key: Option<&TokenPlace>,
    certificate: Option<&TokenPlace>,
    leaf: Leaf,
    context: &Context<'_>,
) -> Result<OpenedKey, CliError> {
    let operator = plan.token.operator(&[key, certificate], context.console);
    let request = OpenKey {
        key: key.map(|key| key.uri.clone()),
        leaf,
        require_hardware: plan.require_hardware,
    };
    let mut tokens = plan.token.tokens(&[key, certificate])?;
    let opened = tokens
        .open(&request, Box::new(operator))
        .map_err(|failed| error(&failed))?;
    for warning in &opened.warnings {
        context.console.warn(&warning.to_string(), "");
    }
    Ok(opened)
}

/// What a token has of certificates.
pub struct Certificates {
    /// Those that were named.
    matching: Vec<FoundCertificate>,
    /// All of the same tokens, DER.
    all: Vec<Vec<u8>>,
}

impl Certificates {
    /// Reads what a URI names.
    ///
    /// # Errors
    /// [`CliError`] naming the token; at least one certificate matches.
    pub fn find(
        plan: &IdentityPlan,
        place: &TokenPlace,
        context: &Context<'_>,
    ) -> Result<Self, CliError> {
        let mut tokens = plan.token.tokens(&[Some(place)])?;
        let mut operator = plan.token.operator(&[Some(place)], context.console);
        let mut find = |uri: &Uri| {
            tokens
                .certificates(uri, &mut operator)
                .map_err(|failed| error(&failed))
        };
        let matching = find(&place.uri)?;
        let mut seen = Vec::new();
        let mut all = Vec::new();
        for token in matching.iter().map(|found| found.uri.token_only()) {
            if !seen.contains(&token) {
                all.extend(find(&token)?.into_iter().map(|found| found.der));
                seen.push(token);
            }
        }
        Ok(Self { matching, all })
    }

    /// Those that were named, DER.
    pub fn matching_der(&self) -> Vec<Vec<u8>> {
        self.matching
            .iter()
            .map(|found| found.der.clone())
            .collect()
    }

    /// The identity of `signer` and the newest of these certificates that are for its key.
    ///
    /// # Errors
    /// [`CliError`] if none is.
    pub fn identity(
        mut self,
        plan: &IdentityPlan,
        place: &TokenPlace,
        signer: BoxedSigner,
        context: &Context<'_>,
    ) -> Result<Identity, CliError> {
        self.matching.retain(|found| {
            let certificate = Certificate::from_der(&found.der);
            certificate.is_ok_and(|leaf| same_key(leaf.public_key, signer.public_key()))
        });
        let name = place.uri.to_string();
        let certificates = with_issuers(self.matching_der(), self.all, signer.public_key());
        identity::join(plan, &name, certificates, signer, context)
    }
}

/// A leaf, and what may lead up from it: no other certificate of the same key, which was not named, and
/// nothing that cannot be read.
fn with_issuers(
    leaf: Vec<Vec<u8>>,
    others: impl IntoIterator<Item = Vec<u8>>,
    public_key: &[u8],
) -> Vec<Vec<u8>> {
    let mut certificates = leaf;
    certificates.extend(others.into_iter().filter(|der| {
        let certificate = Certificate::from_der(der);
        certificate.is_ok_and(|other| !same_key(other.public_key, public_key))
    }));
    certificates
}
