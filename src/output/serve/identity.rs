//! An identity whose credentials are handed out.

use std::boxed::Box;
use std::string::String;
use std::sync::Arc;

use zeroize::Zeroizing;

use super::documents;
use crate::core::time::UnixTime;
use crate::host::refresh::{Failure, FailureKind, Refresher, Status};
use crate::host::session::Credentials;

/// Where credentials come from. It never waits.
pub trait Provider {
    /// Credentials that live; where there are none, a refresh is asked for.
    fn credentials(&self) -> Option<Arc<Credentials>>;

    /// What there is to know.
    fn status(&self) -> Status;
}

impl Provider for Refresher {
    fn credentials(&self) -> Option<Arc<Credentials>> {
        self.credentials()
    }

    fn status(&self) -> Status {
        self.status()
    }
}

/// An identity, and the documents about its credentials.
pub struct Served {
    /// The name that it is asked for by.
    pub name: String,
    /// The role, as configured.
    pub role_arn: String,
    /// The region that programs are told.
    pub region: String,
    provider: Box<dyn Provider>,
    role: Kept,
    container: Kept,
}

/// A document, as long as its credentials are those that are handed out.
type Kept = Option<(Arc<Credentials>, Arc<Zeroizing<String>>)>;

/// Why there are no credentials at the moment.
pub enum Unavailable {
    /// A refresh is under way; the one before it may have failed.
    Pending(Option<Failure>),
    /// The last one failed, and the next one has its time.
    Failed(Failure),
}

impl Served {
    /// An identity whose credentials come from `provider`.
    pub fn new(
        name: String,
        role_arn: String,
        region: String,
        provider: Box<dyn Provider>,
    ) -> Self {
        Self {
            name,
            role_arn,
            region,
            provider,
            role: None,
            container: None,
        }
    }

    /// What there is to know.
    pub fn status(&self) -> Status {
        self.provider.status()
    }

    /// The role's name, without its path: of the credentials that are handed out, if there are any.
    pub fn role_name(&self) -> String {
        let credentials = self.provider.credentials();
        let arn = credentials
            .as_ref()
            .map(|credentials| &credentials.role_arn);
        // A machine's own role may come without its ARN.
        let arn = arn.filter(|arn| !arn.is_empty()).unwrap_or(&self.role_arn);
        String::from(name_of(arn))
    }

    /// Whether the role is called so.
    pub fn is_role(&self, name: &str) -> bool {
        name == name_of(&self.role_arn) || name == self.role_name()
    }

    /// The account.
    pub fn account(&self) -> &str {
        account_of(&self.role_arn)
    }

    /// The document of IMDS.
    ///
    /// # Errors
    /// `Unavailable` if there are no credentials.
    pub fn role(&mut self, now: UnixTime) -> Result<Arc<Zeroizing<String>>, Unavailable> {
        let credentials = self.available()?;
        Ok(kept(&mut self.role, credentials, |credentials| {
            documents::of_role(credentials, now)
        }))
    }

    /// The document of a container's endpoint.
    ///
    /// # Errors
    /// `Unavailable` if there are no credentials.
    pub fn container(&mut self) -> Result<Arc<Zeroizing<String>>, Unavailable> {
        let credentials = self.available()?;
        Ok(kept(&mut self.container, credentials, |credentials| {
            documents::of_container(credentials, account_of(&credentials.role_arn))
        }))
    }

    fn available(&mut self) -> Result<Arc<Credentials>, Unavailable> {
        if let Some(credentials) = self.provider.credentials() {
            return Ok(credentials);
        }
        // What has expired need not stay in memory.
        self.role = None;
        self.container = None;
        let status = self.provider.status();
        Err(match (status.failure, status.next_attempt) {
            (Some(failure), Some(_)) => Unavailable::Failed(failure),
            (failure, _) => Unavailable::Pending(failure),
        })
    }
}

impl Unavailable {
    /// What to tell whoever cannot wait.
    pub fn into_failure(self) -> Failure {
        match self {
            Self::Failed(failure) | Self::Pending(Some(failure)) => failure,
            Self::Pending(None) => Failure {
                kind: FailureKind::Temporary,
                what: "credentials are still being asked for".into(),
                remedy: String::new(),
            },
        }
    }
}

fn kept(
    kept: &mut Kept,
    credentials: Arc<Credentials>,
    write: impl FnOnce(&Credentials) -> Zeroizing<String>,
) -> Arc<Zeroizing<String>> {
    if let Some((of, document)) = kept
        && Arc::ptr_eq(of, &credentials)
    {
        return document.clone();
    }
    let document = Arc::new(write(&credentials));
    *kept = Some((credentials, document.clone()));
    document
}

/// `SensorWriter` of `arn:aws:iam::111122223333:role/hubs/SensorWriter`.
fn name_of(role_arn: &str) -> &str {
    role_arn.rsplit('/').next().unwrap_or_default()
}

fn account_of(role_arn: &str) -> &str {
    role_arn.split(':').nth(4).unwrap_or_default()
}
