//! Where a request goes: an origin (scheme, host and port), a path and a query.
//!
//! Credentials belong to an origin. Two URLs have the same one only if scheme, host **and** port are equal (RFC 6454); a port that
//! is not written is that of the scheme.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};

use ureq::http::Uri;

/// Scheme, host and port.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Origin {
    /// `https` rather than `http`.
    pub tls: bool,
    /// In lower case, an IPv6 address without brackets.
    pub host: String,
    pub port: u16,
}

impl Origin {
    /// The origin of a registry as people write it: `HOST[:PORT]`, `[::1]:5000`.
    pub fn of_registry(registry: &str, tls: bool) -> Option<Origin> {
        let url: Url = Url::parse(&format!("{}://{registry}/", if tls { "https" } else { "http" }))?;
        Some(url.origin)
    }

    /// The address, if the host is one.
    pub fn address(&self) -> Option<IpAddr> {
        self.host.parse().ok()
    }

    /// Whether the host is this machine. Only whole names count: `localhost.example.com` is another host.
    pub fn is_loopback(&self) -> bool {
        match self.address() {
            Some(IpAddr::V6(address)) => {
                address.is_loopback() || address.to_ipv4_mapped().is_some_and(|address| address.is_loopback())
            }
            Some(IpAddr::V4(address)) => address.is_loopback(),
            None => self.host == "localhost" || self.host.ends_with(".localhost"),
        }
    }

    /// Whether the host gives a machine of a cloud its credentials, or is any other that only this link knows.
    pub fn is_link_local(&self) -> bool {
        match self.address() {
            Some(IpAddr::V4(address)) => address.is_link_local() || address.is_unspecified(),
            Some(IpAddr::V6(address)) => {
                let mapped = address.to_ipv4_mapped();
                // AWS has its metadata at fd00:ec2::254 too.
                address.is_unicast_link_local()
                    || address.is_unspecified()
                    || address == Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254)
                    || mapped.is_some_and(|address| address.is_link_local() || address.is_unspecified())
            }
            None => matches!(self.host.as_str(), "metadata" | "metadata.google.internal" | "metadata.goog"),
        }
    }

    /// `HOST[:PORT]` as in a `Host` header: without the scheme's own port.
    pub fn authority(&self) -> String {
        let host = if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() };
        if self.port == default_port(self.tls) { host } else { format!("{host}:{}", self.port) }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", if self.tls { "https" } else { "http" }, self.authority())
    }
}

fn default_port(tls: bool) -> u16 {
    if tls { 443 } else { 80 }
}

/// An absolute URL. Its `Display` leaves the query out: that of a signed URL is a credential.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Url {
    pub origin: Origin,
    /// The path, and the query with its `?`.
    pub target: String,
}

impl Url {
    /// Reads an absolute URL; `None` if it is none, or has a user or a password in it.
    pub fn parse(text: &str) -> Option<Url> {
        let uri: Uri = text.parse().ok()?;
        let tls = match uri.scheme_str()? {
            "https" => true,
            "http" => false,
            _ => return None,
        };
        let authority = uri.authority()?;
        if authority.as_str().contains('@') {
            return None;
        }
        let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_ascii_lowercase();
        // `host:` and `host:99999` are a host without a port to that type.
        let written = authority.as_str().len() > authority.host().len();
        let port = match authority.port_u16() {
            Some(port) => port,
            None if written => return None,
            None => default_port(tls),
        };
        if host.is_empty() || port == 0 {
            return None;
        }
        let target = uri.path_and_query().map_or("/", |target| target.as_str());
        let target = if target.starts_with('/') { target.to_string() } else { format!("/{target}") };
        Some(Url { origin: Origin { tls, host, port }, target })
    }

    /// A URL that an answer to this one names: absolute, or relative in any of the forms of RFC 3986 that registries use.
    pub fn join(&self, text: &str) -> Option<Url> {
        let text = text.split('#').next().unwrap_or_default();
        let lower = text.get(..8).unwrap_or(text).to_ascii_lowercase();
        if lower.starts_with("http:") || lower.starts_with("https:") {
            return Url::parse(text);
        }
        let scheme = if self.origin.tls { "https" } else { "http" };
        if text.starts_with("//") {
            return Url::parse(&format!("{scheme}:{text}"));
        }
        let path = self.target.split('?').next().unwrap_or_default();
        let target = match text.bytes().next() {
            None => return None,
            Some(b'/') => text.to_string(),
            Some(b'?') => format!("{path}{text}"),
            Some(_) if text.split(['/', '?']).next().is_some_and(|first| first.contains(':')) => return None,
            Some(_) => format!("{}/{text}", path.rsplit_once('/').map_or("", |(folder, _)| folder)),
        };
        Url::parse(&format!("{}{target}", self.origin))
    }

    /// The same URL with another target.
    pub fn at(&self, target: String) -> Url {
        Url { origin: self.origin.clone(), target }
    }

    /// The same URL with one more parameter in its query.
    pub fn with(&self, name: &str, value: &str) -> Url {
        let joint = match self.target.find('?') {
            None => "?",
            Some(_) if self.target.ends_with(['?', '&']) => "",
            Some(_) => "&",
        };
        self.at(format!("{}{joint}{name}={}", self.target, encoded(value)))
    }

    /// The whole text, for a request.
    pub fn text(&self) -> String {
        format!("{}{}", self.origin, self.target)
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.origin, self.target.split('?').next().unwrap_or_default())
    }
}

/// A value of a query or a form: everything but the unreserved characters of RFC 3986 is escaped.
pub(super) fn encoded(value: &str) -> String {
    let mut text = String::new();
    for byte in value.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => text.push(char::from(byte)),
            other => text.push_str(&format!("%{other:02X}")),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> Url {
        Url::parse(text).unwrap()
    }

    #[test]
    fn an_origin_is_scheme_host_and_port() {
        assert_eq!(url("https://A.example:443/x").origin, url("https://a.example").origin);
        for other in ["http://a.example", "https://a.example:444", "https://b.a.example", "https://a.example."] {
            assert_ne!(url(other).origin, url("https://a.example").origin, "{other}");
        }
        assert_eq!(Origin::of_registry("[::1]:5000", false).unwrap().to_string(), "http://[::1]:5000");
        for text in
            ["", "ftp://a/", "https://", "https://u:p@a/", "https://a:x/", "https://a:99999/", "/a", "https://a b/"]
        {
            assert_eq!(Url::parse(text), None, "{text:?}");
        }
    }

    #[test]
    fn loopback_and_link_local_hosts_are_whole_names_and_addresses() {
        for host in ["localhost", "127.0.0.1:5000", "127.9.9.9", "[::1]", "a.localhost", "[::ffff:127.0.0.1]"] {
            assert!(Origin::of_registry(host, true).unwrap().is_loopback(), "{host}");
        }
        for host in ["localhost.example.com", "127.0.0.1.example.com", "10.0.0.1", "notlocalhost", "128.0.0.1"] {
            assert!(!Origin::of_registry(host, true).unwrap().is_loopback(), "{host}");
        }
        for host in ["169.254.169.254", "[fe80::1]", "metadata.google.internal", "0.0.0.0", "[fd00:ec2::254]"] {
            assert!(Origin::of_registry(host, true).unwrap().is_link_local(), "{host}");
        }
    }

    #[test]
    fn a_location_is_understood_in_every_form() {
        let base = url("http://h:5000/v2/a/blobs/uploads/?x=1");
        for (location, whole) in [
            ("https://o.example/u?_state=a%3D", "https://o.example/u?_state=a%3D"),
            ("/v2/a/blobs/uploads/1?s=2", "http://h:5000/v2/a/blobs/uploads/1?s=2"),
            ("//o.example/u", "http://o.example/u"),
            ("1", "http://h:5000/v2/a/blobs/uploads/1"),
            ("?s=3", "http://h:5000/v2/a/blobs/uploads/?s=3"),
        ] {
            assert_eq!(base.join(location).map(|url| url.text()).as_deref(), Some(whole), "{location}");
        }
        for location in ["", "file:///etc/passwd", "https://u@h/", "javascript:x"] {
            assert_eq!(base.join(location), None, "{location}");
        }
        assert_eq!(
            base.with("digest", "sha256:a+b").text(),
            "http://h:5000/v2/a/blobs/uploads/?x=1&digest=sha256%3Aa%2Bb"
        );
        assert_eq!(base.to_string(), "http://h:5000/v2/a/blobs/uploads/");
    }
}
