use core::fmt;

pub use httparse::Header;

/// A request whose head is well-formed and whose body, if it had one, has been read and dropped.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// `GET`, `HEAD` or `PUT`: the server refuses the others.
    pub method: &'a str,
    /// The path as it was sent, undecoded; it begins with `/`.
    pub path: &'a str,
    /// What follows the first `?`, undecoded.
    pub query: Option<&'a str>,
    /// The headers, in their order. `Host` is there once, except from HTTP/1.0.
    pub headers: Headers<'a>,
    /// Which of the server's listeners it came in by.
    pub listener: usize,
    /// There is no waiting any more: the answer is needed now.
    pub is_last: bool,
}

/// The headers of a request. `Debug` shows their names alone: their values may be secrets.
#[derive(Clone, Copy)]
pub struct Headers<'a>(&'a [Header<'a>]);

impl<'a> Headers<'a> {
    /// Takes headers in their order.
    pub const fn new(headers: &'a [Header<'a>]) -> Self {
        Self(headers)
    }

    /// The value of the first header of that name, whose case does not matter.
    pub fn get(&self, name: &str) -> Option<&'a [u8]> {
        self.all(name).next()
    }

    /// Whether there is a header of that name, be it empty.
    pub fn contains(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// The values of all headers of that name.
    pub fn all(&self, name: &str) -> impl Iterator<Item = &'a [u8]> {
        let named = move |header: &&Header<'_>| header.name.eq_ignore_ascii_case(name);
        self.0.iter().filter(named).map(|header| header.value)
    }
}

impl fmt::Debug for Headers<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list()
            .entries(self.0.iter().map(|header| header.name))
            .finish()
    }
}
