use core::time::Duration;

/// What the server grants its peers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of a request's head: request line and headers.
    pub head: usize,
    /// Headers of a request; at most [`Limits::MAX_HEADERS`].
    pub headers: usize,
    /// Bytes of a request's body, as they come over the line. Bodies are read and dropped.
    pub body: usize,
    /// Connections in all. Each listener has an equal share of them, so that none starves another.
    pub connections: usize,
    /// Connections of one listener, if its share is more.
    pub connections_each: usize,
    /// Requests that may wait for the handler at a time; one more is answered at once.
    pub parked: usize,
    /// How long a whole request may take, from the connection or from its first byte.
    pub request: Duration,
    /// How long a connection may be kept without a request.
    pub idle: Duration,
    /// How long a peer may take to read an answer.
    pub write: Duration,
    /// How long a request may wait for the handler.
    pub park: Duration,
    /// How long what is open may take to finish after [`Waker::stop`](super::Waker::stop).
    pub drain: Duration,
    /// How long a peer that was refused may go on sending before the connection is closed on it.
    pub linger: Duration,
}

impl Limits {
    /// The most headers that [`headers`](Self::headers) can allow.
    pub const MAX_HEADERS: usize = 64;
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            head: 8 * 1024,
            headers: Self::MAX_HEADERS,
            body: 16 * 1024,
            connections: 512,
            connections_each: 256,
            parked: 128,
            request: Duration::from_secs(10),
            idle: Duration::from_secs(75),
            write: Duration::from_secs(10),
            park: Duration::from_secs(10),
            drain: Duration::from_secs(5),
            linger: Duration::from_secs(1),
        }
    }
}
