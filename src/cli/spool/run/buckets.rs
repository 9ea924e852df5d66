//! Buckets, opened as the plan says.

use std::boxed::Box;
use std::string::{String, ToString as _};
use std::sync::Arc;

use crate::cli::error::CliError;
use crate::cli::push::place::PlacePlan;
use crate::host::clock::HostClock;
use crate::host::endpoint::Endpoint;
use crate::host::s3::{Bucket, Client, ObjectStore, Place, S3Clock, Style};
use crate::host::transport::TransportOptions;
use crate::output::push::deliver::Stores;

/// Where buckets are, and how they are reached.
#[derive(Debug, Clone)]
pub struct Buckets {
    plan: PlacePlan,
    transport: TransportOptions,
    clock: Arc<S3Clock>,
}

impl Buckets {
    /// The buckets of `plan`, all by one clock.
    pub fn new(plan: PlacePlan, transport: TransportOptions, clock: Arc<HostClock>) -> Self {
        Self {
            plan,
            transport,
            clock: Arc::new(S3Clock::new(clock)),
        }
    }
}

impl Stores for Buckets {
    fn open(&self, bucket: &str) -> Result<Box<dyn ObjectStore>, String> {
        let bucket = self.plan.bucket(bucket).map_err(|error| error.what)?;
        let client = Client::new(bucket, &self.transport, self.clock.clone());
        Ok(Box::new(client.map_err(|error| error.to_string())?))
    }
}

/// The endpoint of the plan's buckets, whatever their names.
///
/// # Errors
/// [`CliError`] if there is none.
pub fn endpoint(plan: &PlacePlan) -> Result<Endpoint, CliError> {
    let place = Place {
        style: Style::Path,
        ..plan.place.clone()
    };
    match Bucket::new("bucket", &place) {
        Ok(bucket) => Ok(bucket.endpoint().clone()),
        Err(error) => Err(CliError::usage(error.to_string(), "")),
    }
}
