//! The proxy that the environment names, by the rules of the programs that AWS's helper is one of:
//! `HTTPS_PROXY`, `HTTP_PROXY`, `NO_PROXY`, in upper or lower case.

use core::net::IpAddr;
use std::string::String;

use crate::backend::secret::Environment;
use crate::host::endpoint::Endpoint;

/// The proxy for requests to `endpoint`; `None` if they go there directly.
pub fn from_environment(endpoint: &Endpoint, environment: &dyn Environment) -> Option<String> {
    let names = if endpoint.tls {
        ["HTTPS_PROXY", "https_proxy"]
    } else {
        // A CGI program's HTTP_PROXY may come from a request's header `Proxy`.
        match environment.var("REQUEST_METHOD") {
            Some(_) => ["http_proxy"; 2],
            None => ["HTTP_PROXY", "http_proxy"],
        }
    };
    let proxy = first(environment, names)?;
    let exceptions = first(environment, ["NO_PROXY", "no_proxy"]).unwrap_or_default();
    if endpoint.is_loopback() || is_excepted(endpoint, &exceptions) {
        return None;
    }
    Some(proxy)
}

fn first(environment: &dyn Environment, names: [&str; 2]) -> Option<String> {
    names
        .iter()
        .filter_map(|name| environment.var(name)?.into_string().ok())
        .find(|value| !value.is_empty())
}

fn is_excepted(endpoint: &Endpoint, exceptions: &str) -> bool {
    let host = endpoint.host();
    let host = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'))
        .unwrap_or(host);
    exceptions
        .split(',')
        .map(str::trim)
        .filter(|exception| !exception.is_empty())
        .any(|exception| matches(exception, host, endpoint))
}

/// `*`, an address, a network such as `10.0.0.0/8`, a domain (and what is below it), `.domain` (only
/// what is below it); an address or a domain may have a port.
fn matches(exception: &str, host: &str, endpoint: &Endpoint) -> bool {
    if exception == "*" || exception == endpoint.authority {
        return true;
    }
    if let Ok(address) = host.parse::<IpAddr>() {
        return match exception.split_once('/') {
            Some((network, bits)) => in_network(address, network, bits),
            None => exception.parse() == Ok(address),
        };
    }
    let host = host.to_ascii_lowercase();
    let domain = exception.to_ascii_lowercase();
    let domain = domain.strip_prefix('*').unwrap_or(&domain);
    match host.strip_suffix(domain.strip_prefix('.').unwrap_or(domain)) {
        Some("") => !domain.starts_with('.'),
        Some(rest) => rest.ends_with('.'),
        None => false,
    }
}

fn in_network(address: IpAddr, network: &str, bits: &str) -> bool {
    let (Ok(network), Ok(bits)) = (network.parse::<IpAddr>(), bits.parse::<u32>()) else {
        return false;
    };
    match (address, network) {
        (IpAddr::V4(address), IpAddr::V4(network)) if bits <= 32 => {
            let differing = u32::from(address) ^ u32::from(network);
            differing.leading_zeros() >= bits
        }
        (IpAddr::V6(address), IpAddr::V6(network)) if bits <= 128 => {
            let differing = u128::from(address) ^ u128::from(network);
            differing.leading_zeros() >= bits
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashMap;
    use std::ffi::OsString;

    struct Variables(HashMap<&'static str, &'static str>);

    impl Environment for Variables {
        fn var(&self, name: &str) -> Option<OsString> {
            self.0.get(name).map(OsString::from)
        }
    }

    fn proxy<const N: usize>(
        url: &str,
        variables: [(&'static str, &'static str); N],
    ) -> Option<String> {
        let endpoint = Endpoint::custom(url).unwrap();
        from_environment(&endpoint, &Variables(variables.into()))
    }

    #[test]
    fn by_scheme() {
        let both = [("HTTPS_PROXY", "http://s:1"), ("http_proxy", "http://p:1")];
        assert_eq!(proxy("https://a.b", both).as_deref(), Some("http://s:1"));
        assert_eq!(proxy("http://a.b", both).as_deref(), Some("http://p:1"));
        assert_eq!(proxy("http://127.0.0.1:80", both), None);
        assert_eq!(proxy("https://a.b", [("HTTPS_PROXY", "")]), None);
        let cgi = [("HTTP_PROXY", "http://evil"), ("REQUEST_METHOD", "GET")];
        assert_eq!(proxy("http://a.b", cgi), None);
    }

    #[test]
    fn exceptions() {
        let excepted = |url, exceptions| {
            proxy(url, [("https_proxy", "http://p"), ("no_proxy", exceptions)]).is_none()
        };
        for (url, exceptions) in [
            ("https://a.example.com", "*"),
            ("https://a.example.com", "x.org, example.com"),
            ("https://A.example.com", ".EXAMPLE.com"),
            ("https://example.com", "example.com"),
            ("https://a.example.com:8443", "a.example.com:8443"),
            ("https://a.example.com", "*.example.com"),
            ("https://10.1.2.3", "10.0.0.0/8"),
            ("https://10.1.2.3", "10.1.2.3"),
            ("https://[fd00::1]", "fd00::/8"),
        ] {
            assert!(excepted(url, exceptions), "{url} {exceptions}");
        }
        for (url, exceptions) in [
            ("https://a.example.com", ""),
            ("https://badexample.com", "example.com"),
            ("https://example.com", ".example.com"),
            ("https://11.1.2.3", "10.0.0.0/8"),
            ("https://10.1.2.3", "10.0.0.0/99"),
            ("https://10.1.2.3", "fd00::/8"),
        ] {
            assert!(!excepted(url, exceptions), "{url} {exceptions}");
        }
    }
}
