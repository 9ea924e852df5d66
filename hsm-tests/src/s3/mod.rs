//! S3 servers that were not written here, and AWS's command line as the judge of what they hold.

mod aws;
mod s3s;
mod seaweed;

use std::process::Command;

pub use aws::{Aws, Object};
pub use s3s::S3s;
pub use seaweed::Seaweed;

/// The bucket of every server here.
pub const BUCKET: &str = "sensor-logs";

/// The region in signatures. None of the servers looks at it.
pub const REGION: &str = "eu-west-1";

/// Credentials.
#[derive(Debug, Clone)]
pub struct Keys {
    pub access_key: String,
    pub secret_key: String,
    pub token: Option<String>,
}

impl Keys {
    /// A pair that does not end.
    pub fn fixed(name: &str) -> Self {
        Self {
            access_key: format!("AKIA{:0>16}", name.to_uppercase()),
            secret_key: format!("{name}-secret-0123456789/+="),
            token: None,
        }
    }

    /// Puts them where every client looks for them.
    pub fn give<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        command
            .env("AWS_ACCESS_KEY_ID", &self.access_key)
            .env("AWS_SECRET_ACCESS_KEY", &self.secret_key)
            .env("AWS_REGION", REGION)
            .env("AWS_DEFAULT_REGION", REGION);
        if let Some(token) = &self.token {
            command.env("AWS_SESSION_TOKEN", token);
        }
        command
    }
}

/// A server that runs.
pub trait Server {
    /// Where it listens: `http://127.0.0.1:PORT`.
    fn url(&self) -> String;

    /// Credentials that may do everything.
    fn owner(&self) -> &Keys;

    /// Temporary credentials that may `s3:PutObject`, and nothing else.
    fn writer(&self) -> &Keys;

    /// AWS's command line for who owns the bucket.
    fn aws(&self) -> Aws {
        Aws::new(&self.url(), self.owner())
    }
}
