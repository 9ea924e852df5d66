//! The host's [`Transport`]: HTTP and HTTPS with `ureq`, which collects the head.

use core::fmt;
use core::time::Duration;
use std::format;
use std::io::{self, Read as _};
use std::string::{String, ToString as _};
use std::sync::Arc;
use std::vec::Vec;

use ureq::http::{HeaderValue, Request as HttpRequest};
use ureq::unversioned::resolver::DefaultResolver;
use ureq::unversioned::transport::{ConnectProxyConnector, Connector as _, TcpConnector};
use ureq::{Agent, Error as UreqError, Proxy, Timeout};
use zeroize::Zeroizing;

use super::clock::HostClock;
use super::tls::{TlsConnector, TlsError, Trust};
use crate::core::http::{Answer, Body, Request, Transport, TransportError};

/// How to reach a service.
#[derive(Clone)]
pub struct TransportOptions {
    /// Whom to trust.
    pub trust: Trust,
    /// The URL of a proxy for HTTP `CONNECT`. The environment is not asked.
    pub proxy: Option<String>,
    /// How long the connection may take: TCP, proxy and TLS together.
    pub connect_timeout: Duration,
    /// How long a whole exchange may take.
    pub timeout: Duration,
}

/// Without the proxy, whose URL may hold a password.
impl fmt::Debug for TransportOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TransportOptions")
            .field("trust", &self.trust)
            .field("connect_timeout", &self.connect_timeout)
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}

impl Default for TransportOptions {
    fn default() -> Self {
        Self {
            trust: Trust::System,
            proxy: None,
            connect_timeout: Duration::from_secs(10),
            timeout: Duration::from_secs(30),
        }
    }
}

impl TransportOptions {
    /// The proxy.
    pub(super) fn proxy(&self) -> Result<Option<Proxy>, HttpError> {
        // The URL may hold a password: the error does not repeat it.
        let cannot_be_used = |_| {
            let why = "the proxy's URL cannot be used; write http://HOST:PORT";
            HttpError::Proxy(why.to_string())
        };
        let proxy = self.proxy.as_deref().map(Proxy::new).transpose();
        proxy.map_err(cannot_be_used)
    }
}

/// A transport to one endpoint.
#[derive(Debug)]
pub struct HttpTransport {
    agent: Agent,
    base: String,
    verifies_server: bool,
    /// How long an exchange may take, by the options.
    timeout: Duration,
    /// How long the next ones may take.
    limit: Duration,
}

/// The longest head of an answer that is accepted; AWS's have less than 1 KiB.
const MAX_ANSWER_HEAD: usize = 8 << 10;

/// Room for what `ureq` adds to a head, and for the line of the request.
const HEAD_SLACK: usize = 1 << 10;

impl HttpTransport {
    /// A transport to `base`: a scheme, a host and perhaps a port, without a path. Nothing is
    /// connected or loaded yet.
    ///
    /// # Errors
    /// [`HttpError::Proxy`] if the proxy's URL cannot be used.
    pub fn new(
        base: impl Into<String>,
        options: &TransportOptions,
        clock: Arc<HostClock>,
    ) -> Result<Self, HttpError> {
        let base = base.into();
        let proxy = options.proxy()?;
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .proxy(proxy)
            .user_agent("")
            .accept("")
            .accept_encoding("")
            .timeout_connect(Some(options.connect_timeout))
            .max_response_header_size(MAX_ANSWER_HEAD)
            .input_buffer_size(MAX_ANSWER_HEAD)
            // Nobody asks twice in a row, and a service closes what it does not hear from.
            .max_idle_connections(0)
            .build();
        let verifies_server = base.starts_with("https:") && options.trust != Trust::Anyone;
        let connector =
            ().chain(ConnectProxyConnector::default())
                .chain(TcpConnector::default())
                .chain(TlsConnector::new(options.trust.clone(), clock));
        Ok(Self {
            agent: Agent::with_parts(config, connector, DefaultResolver::default()),
            base,
            verifies_server,
            timeout: options.timeout,
            limit: options.timeout,
        })
    }

    /// Whether what the other end says comes from whom it claims to be: TLS, and not without
    /// verification.
    pub fn verifies_server(&self) -> bool {
        self.verifies_server
    }

    /// Lets exchanges from now on take no longer than this, if that is less than the options say.
    pub fn limit(&mut self, remaining: Duration) {
        self.limit = self.timeout.min(remaining);
    }
}

impl Transport for HttpTransport {
    type Error = HttpError;

    fn exchange(
        &mut self,
        request: &Request<'_>,
        answer: &mut dyn Answer,
    ) -> Result<(), HttpError> {
        let mut builder = HttpRequest::builder()
            .method(request.method)
            .uri(format!("{}{}", self.base, request.target));
        let mut head_len = HEAD_SLACK + request.target.len();
        for header in request.all_headers() {
            let value = header.value.to_string();
            head_len += header.name.len() + value.len() + 4;
            let mut value = HeaderValue::try_from(value).map_err(|_| HttpError::BadRequest)?;
            value.set_sensitive(true);
            builder = builder.header(header.name, value);
        }
        let body = match request.body {
            Body::Bytes(bytes) => Vec::from(bytes),
            Body::Text(text) => text.to_string().into_bytes(),
        };
        let request = builder.body(body).map_err(|_| HttpError::BadRequest)?;
        // ureq needs room for the whole head at once.
        let request = (self.agent.configure_request(request))
            .output_buffer_size(head_len)
            .timeout_global(Some(self.limit))
            .build();
        let response = self.agent.run(request)?;
        answer.status(response.status().as_u16());
        for (name, value) in response.headers() {
            answer.header(name.as_str(), value.as_bytes());
        }
        let mut body = response.into_body().into_reader();
        let mut piece = Zeroizing::new([0; 2048]);
        loop {
            match body.read(&mut *piece) {
                Ok(0) => break,
                Ok(len) => answer.body(&piece[..len]).map_err(|_| HttpError::TooLong)?,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(HttpError::of_io(error)),
            }
        }
        Ok(())
    }
}

/// Why an exchange failed.
#[derive(Debug)]
#[non_exhaustive]
pub enum HttpError {
    /// The host's name has no address.
    HostNotFound,
    /// It took too long: what.
    Timeout(&'static str),
    /// The connection could not be made or broke.
    Connection(io::Error),
    /// The server's certificate.
    Tls(String),
    /// The root certificates to trust: the bundle's, or the system's.
    Roots(String),
    /// The proxy.
    Proxy(String),
    /// What came is not HTTP/1.1, or its head is too long.
    NotHttp(String),
    /// The answer's body is too long.
    TooLong,
    /// A header or the target of the request cannot be sent.
    BadRequest,
}

impl HttpError {
    pub(super) fn of_io(error: io::Error) -> Self {
        // rustls and ureq wrap their errors in those of io.
        match error.downcast::<UreqError>() {
            Ok(error) => error.into(),
            Err(error) => match error.get_ref().and_then(|inner| inner.downcast_ref()) {
                Some(error @ rustls::Error::InvalidCertificate(_)) => Self::Tls(error.to_string()),
                Some(error @ rustls::Error::PeerIncompatible(_)) => Self::Tls(error.to_string()),
                _ => Self::Connection(error),
            },
        }
    }
}

impl From<UreqError> for HttpError {
    fn from(error: UreqError) -> Self {
        match error {
            UreqError::HostNotFound => Self::HostNotFound,
            UreqError::Timeout(Timeout::Connect | Timeout::Resolve) => Self::Timeout("to connect"),
            UreqError::Timeout(_) => Self::Timeout("to answer"),
            UreqError::Io(error) => Self::of_io(error),
            UreqError::ConnectProxyFailed(why) => Self::Proxy(why),
            UreqError::InvalidProxyUrl => Self::Proxy("its URL cannot be used".to_string()),
            UreqError::Other(error) => match error.downcast::<TlsError>() {
                Ok(error) => Self::Roots(error.to_string()),
                Err(error) => Self::Connection(io::Error::other(error)),
            },
            UreqError::ConnectionFailed => {
                Self::Connection(io::Error::other("no address could be connected to"))
            }
            UreqError::BadUri(_) | UreqError::Http(_) => Self::BadRequest,
            other => Self::NotHttp(other.to_string()),
        }
    }
}

impl TransportError for HttpError {
    fn is_retryable(&self) -> bool {
        matches!(
            self,
            Self::HostNotFound | Self::Timeout(_) | Self::Connection(_)
        )
    }
}

impl fmt::Display for HttpError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::HostNotFound => f.write_str("the host's name has no address"),
            Self::Timeout(what) => write!(f, "it took too long {what}"),
            // rustls has a page of its manual to say about it.
            Self::Connection(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                f.write_str("the connection was closed before the answer was complete")
            }
            Self::Connection(error) => error.fmt(f),
            Self::Tls(why) => write!(f, "TLS: {why}"),
            Self::Roots(why) => f.write_str(why),
            Self::Proxy(why) => write!(f, "proxy: {why}"),
            Self::NotHttp(why) => write!(f, "the answer is not HTTP: {why}"),
            Self::TooLong => f.write_str("the answer is longer than allowed"),
            Self::BadRequest => f.write_str("a header of the request cannot be sent"),
        }
    }
}

impl core::error::Error for HttpError {}
