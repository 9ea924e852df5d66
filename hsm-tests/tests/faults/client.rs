//! Requests as SDKs send them, each on a connection of its own.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

/// An answer.
pub struct Answer {
    pub status: u16,
    pub body: String,
}

/// Asks for a URL, `http://HOST:PORT/PATH`.
///
/// # Errors
/// Whatever keeps a whole answer from coming.
pub fn ask(method: &str, url: &str, headers: &[(&str, &str)]) -> Result<Answer, String> {
    let failed = |error: std::io::Error| format!("{url}: {error}");
    let rest = url.strip_prefix("http://").expect("a URL with http");
    let (host, path) = rest.split_at(rest.find('/').expect("a URL with a path"));
    let mut stream = TcpStream::connect(host).map_err(failed)?;
    stream
        .set_read_timeout(Some(Duration::from_secs(10)))
        .map_err(failed)?;
    let mut request = format!(
        "{method} {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\nContent-Length: 0\r\n"
    );
    for (name, value) in headers {
        request += &format!("{name}: {value}\r\n");
    }
    request += "\r\n";
    stream.write_all(request.as_bytes()).map_err(failed)?;
    let mut text = String::new();
    stream.read_to_string(&mut text).map_err(failed)?;
    let (head, body) = text.split_once("\r\n\r\n").ok_or("an answer broke off")?;
    let mut lines = head.lines();
    let status = lines.next().and_then(|line| line.split(' ').nth(1));
    let status = status.and_then(|status| status.parse().ok());
    let length = lines
        .filter_map(|line| line.split_once(": "))
        .find_map(|(name, value)| {
            name.eq_ignore_ascii_case("content-length")
                .then(|| value.parse())
        });
    if length != Some(Ok(body.len())) {
        return Err(format!("an answer broke off: {head}"));
    }
    Ok(Answer {
        status: status.ok_or("an answer without a status")?,
        body: body.to_owned(),
    })
}
