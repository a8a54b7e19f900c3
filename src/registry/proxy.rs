//! Which requests go through a proxy.
//!
//! `NO_PROXY` has no specification. Here it is read as Go's programs (docker, podman, skopeo) read it: `*`; a domain with its
//! subdomains, or with a dot in front only these; an address or a range of addresses; each with a port or without. As there,
//! loopback never goes through a proxy.

use std::net::IpAddr;

use super::error::RegistryError;
use super::secret::Secret;
use super::settings::RegistrySettings;
use super::url::Origin;

/// The proxy for an origin, if there is one.
pub(super) fn proxy_for(settings: &RegistrySettings, origin: &Origin) -> Result<Option<ureq::Proxy>, RegistryError> {
    let secret = if origin.tls { &settings.https_proxy } else { &settings.http_proxy };
    let Some(secret) = secret else { return Ok(None) };
    if origin.is_loopback() || is_excluded(&settings.no_proxy, origin) {
        return Ok(None);
    }
    // What is wrong with it is not printed: it may contain a password.
    ureq::Proxy::new(secret.reveal()).map(Some).map_err(|_| {
        let name = if origin.tls { "HTTPS_PROXY" } else { "HTTP_PROXY" };
        RegistryError::Network { host: origin.authority(), fault: format!("{name} is not the URL of an HTTP proxy") }
    })
}

/// A proxy as it can be printed: without its user and password.
pub(super) fn shown(secret: &Secret) -> String {
    match ureq::Proxy::new(secret.reveal()) {
        Ok(proxy) => format!("{}:{}", proxy.host(), proxy.port()),
        Err(_) => "a text that is not the URL of an HTTP proxy".into(),
    }
}

/// Whether an origin is reached without a proxy.
fn is_excluded(no_proxy: &str, origin: &Origin) -> bool {
    let address = origin.address();
    no_proxy.split([',', ' ']).map(str::trim).filter(|entry| !entry.is_empty()).any(|entry| {
        if entry == "*" {
            return true;
        }
        if let Some((network, bits)) = entry.split_once('/') {
            return address.is_some_and(|address| is_in(address, network, bits));
        }
        let (host, port) = split_port(entry);
        if port.is_some_and(|port| port != origin.port) {
            return false;
        }
        let host = host.trim_start_matches('[').trim_end_matches(']').to_ascii_lowercase();
        if let Some(address) = address {
            return host.parse() == Ok(address);
        }
        let host = host.strip_prefix('*').unwrap_or(&host);
        match host.strip_prefix('.') {
            Some(domain) => origin.host.strip_suffix(domain).is_some_and(|below| below.ends_with('.')),
            None => origin.host == host || origin.host.strip_suffix(host).is_some_and(|below| below.ends_with('.')),
        }
    })
}

/// A port behind the last colon, but not within an IPv6 address.
fn split_port(entry: &str) -> (&str, Option<u16>) {
    match entry.rsplit_once(':') {
        Some((host, port)) if host.ends_with(']') || !host.contains(':') => match port.parse() {
            Ok(port) => (host, Some(port)),
            Err(_) => (entry, None),
        },
        _ => (entry, None),
    }
}

/// Whether an address is in a range, such as `10.0.0.0/8`.
fn is_in(address: IpAddr, network: &str, bits: &str) -> bool {
    let (Ok(network), Ok(bits)) = (network.parse::<IpAddr>(), bits.parse::<u32>()) else { return false };
    match (address, network) {
        (IpAddr::V4(address), IpAddr::V4(network)) if bits <= 32 => {
            let mask = u32::MAX.checked_shl(32 - bits).unwrap_or(0);
            u32::from(address) & mask == u32::from(network) & mask
        }
        (IpAddr::V6(address), IpAddr::V6(network)) if bits <= 128 => {
            let mask = u128::MAX.checked_shl(128 - bits).unwrap_or(0);
            u128::from(address) & mask == u128::from(network) & mask
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origin(registry: &str) -> Origin {
        Origin::of_registry(registry, true).unwrap()
    }

    #[test]
    fn no_proxy_names_domains_addresses_ranges_and_ports() {
        for (entry, registry, excluded) in [
            ("*", "a.example", true),
            ("example", "a.example", true),
            ("ample", "a.example", false),
            (".example", "a.example", true),
            (".a.example", "a.example", false),
            ("*.example", "a.example", true),
            ("x, A.EXAMPLE", "a.example", true),
            ("a.example:5000", "a.example", false),
            ("a.example:5000", "a.example:5000", true),
            ("10.0.0.0/8", "10.9.9.9:5000", true),
            ("10.0.0.0/8", "11.9.9.9", false),
            ("10.0.0.0/0", "11.9.9.9", true),
            ("10.0.0.0/33", "10.0.0.0", false),
            ("10.1.1.1", "10.1.1.1", true),
            ("1.1.1", "10.1.1.1", false),
            ("fd00::/8", "[fd00::1]", true),
            ("fd00::1", "[fd00::1]:5000", true),
            ("[fd00::1]:5001", "[fd00::1]:5000", false),
            ("", "a.example", false),
        ] {
            assert_eq!(is_excluded(entry, &origin(registry)), excluded, "{entry} {registry}");
        }
    }

    #[test]
    fn loopback_has_no_proxy_and_a_wrong_one_is_an_error_that_does_not_show_it() {
        let proxy = Some(Secret::new("http://u:pw@p:3128"));
        let mut settings = RegistrySettings { https_proxy: proxy, ..RegistrySettings::default() };
        assert!(proxy_for(&settings, &origin("127.0.0.1:5000")).unwrap().is_none());
        assert!(proxy_for(&settings, &origin("a.example")).unwrap().is_some());
        assert_eq!(shown(&Secret::new("http://u:pw@p:3128")), "p:3128");
        settings.https_proxy = Some(Secret::new("ftp://u:pw@p"));
        let error = proxy_for(&settings, &origin("a.example")).unwrap_err();
        assert!(error.to_string().contains("HTTPS_PROXY") && !error.to_string().contains("pw"), "{error}");
    }
}
