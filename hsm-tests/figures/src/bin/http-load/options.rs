//! What is asked for.

use std::net::{SocketAddr, ToSocketAddrs as _};

/// The command line.
pub struct Options {
    pub address: SocketAddr,
    /// Host and path, as the request has them.
    host: String,
    path: String,
    method: String,
    headers: Vec<String>,
    /// What each answer has to contain.
    pub expect: String,
    pub connections: usize,
    pub requests: usize,
    /// Whether each request has a connection of its own.
    pub new: bool,
}

impl Options {
    pub fn read(mut arguments: impl Iterator<Item = String>) -> Result<Self, String> {
        let url = arguments.next().ok_or("which URL?")?;
        let rest = url
            .strip_prefix("http://")
            .ok_or("a URL is http://HOST:PORT/PATH")?;
        let (host, path) = match rest.find('/') {
            Some(slash) => rest.split_at(slash),
            None => (rest, "/"),
        };
        let mut addresses = host
            .to_socket_addrs()
            .map_err(|error| format!("{host}: {error}"))?;
        let mut options = Self {
            address: addresses.next().ok_or("the host has no address")?,
            host: host.to_owned(),
            path: path.to_owned(),
            method: "GET".to_owned(),
            headers: Vec::new(),
            expect: String::new(),
            connections: 1,
            requests: 1,
            new: false,
        };
        while let Some(flag) = arguments.next() {
            if flag == "--new" {
                options.new = true;
                continue;
            }
            let value = arguments.next().ok_or(format!("{flag} wants a value"))?;
            let number = || value.parse().map_err(|error| format!("{flag}: {error}"));
            match flag.as_str() {
                "--connections" => options.connections = number()?,
                "--requests" => options.requests = number()?,
                "--method" => options.method = value,
                "--header" => options.headers.push(value),
                "--expect" => options.expect = value,
                _ => return Err(format!("there is no flag {flag}")),
            }
        }
        Ok(options)
    }

    /// The bytes of each request.
    pub fn request(&self) -> Vec<u8> {
        let mut request = format!(
            "{} {} HTTP/1.1\r\nHost: {}\r\n",
            self.method, self.path, self.host
        );
        for header in &self.headers {
            request += header;
            request += "\r\n";
        }
        if self.new {
            request += "Connection: close\r\n";
        }
        if self.method != "GET" {
            request += "Content-Length: 0\r\n";
        }
        request += "\r\n";
        request.into_bytes()
    }
}
