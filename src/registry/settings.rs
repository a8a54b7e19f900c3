//! What the machine and the user say about registries. The library reads no environment: who calls it hands a way to look up
//! variables.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::secret::Secret;

/// What the machine and the user say about registries.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct RegistrySettings {
    /// A file with credentials that is used instead of all others.
    pub auth_file: Option<PathBuf>,
    /// The files with credentials of podman and docker, in the order in which they are read; those that do not exist are left out.
    pub auth_files: Vec<PathBuf>,
    /// The directories in which credential helpers are looked up (`PATH`).
    pub programs: Vec<PathBuf>,
    /// Hosts (`HOST[:PORT]`) that are used without TLS, because the user says so.
    pub plain_http: Vec<String>,
    /// Directories with `HOST[:PORT]/*.crt`, `*.cert` and `*.key`, the first first.
    pub certificates: Vec<PathBuf>,
    /// A file with CA certificates that replaces those of the machine.
    pub ca_file: Option<PathBuf>,
    /// A directory with CA certificates that replaces those of the machine.
    pub ca_folder: Option<PathBuf>,
    /// The proxy for `https` URLs; it may contain a password.
    pub https_proxy: Option<Secret>,
    /// The proxy for `http` URLs.
    pub http_proxy: Option<Secret>,
    /// Hosts that are reached without a proxy.
    pub no_proxy: String,
    /// Nothing is sent to anybody.
    pub offline: bool,
    /// How long is waited, and how often something is tried.
    pub patience: Patience,
}

/// How long is waited, and how often something is tried.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// How often a request is sent at most while nothing goes forward.
    pub tries: u32,
    /// The wait before the second try; it doubles from try to try.
    pub first_wait: Duration,
    /// The longest wait between two tries, also if the registry asks for more.
    pub longest_wait: Duration,
    /// How long a connection may take to be made.
    pub connect: Duration,
    /// How long nothing may come or go on a connection.
    pub silence: Duration,
    /// How long a credential helper may take.
    pub helper: Duration,
}

impl Default for Patience {
    fn default() -> Patience {
        Patience {
            tries: 5,
            first_wait: Duration::from_secs(1),
            longest_wait: Duration::from_secs(120),
            connect: Duration::from_secs(30),
            silence: Duration::from_secs(120),
            helper: Duration::from_secs(60),
        }
    }
}

impl RegistrySettings {
    /// What docker, podman and curl take from the environment, and their directories. `variable` looks one up; `uid` is the user's
    /// number.
    ///
    /// Credentials: containers-auth.json(5), then docker's. Proxies: lower case before upper case, `ALL_PROXY` last, as curl.
    /// CAs: `SSL_CERT_FILE` and `SSL_CERT_DIR`, as OpenSSL.
    pub fn of_environment(uid: u32, variable: impl Fn(&str) -> Option<OsString>) -> RegistrySettings {
        let filled = |name: &str| variable(name).filter(|value| !value.is_empty());
        let path = |name: &str| filled(name).map(PathBuf::from);
        let text =
            |names: &[&str]| names.iter().find_map(|name| filled(name)).and_then(|value| value.into_string().ok());
        let home = path("HOME");
        let below = |folder: &Option<PathBuf>, file: &str| folder.as_ref().map(|folder| folder.join(file));
        let config = path("XDG_CONFIG_HOME").or_else(|| below(&home, ".config"));
        let runtime = path("XDG_RUNTIME_DIR").map(|folder| folder.join("containers"));
        let auth_files = [
            Some(runtime.unwrap_or_else(|| format!("/run/containers/{uid}").into()).join("auth.json")),
            below(&config, "containers/auth.json"),
            below(&path("DOCKER_CONFIG").or_else(|| below(&home, ".docker")), "config.json"),
            below(&home, ".dockercfg"),
        ];
        let certificates = [
            below(&config, "containers/certs.d"),
            Some("/etc/containers/certs.d".into()),
            Some("/etc/docker/certs.d".into()),
        ];
        let proxy = |names: &[&str]| text(names).map(Secret::new);
        RegistrySettings {
            auth_file: path("REGISTRY_AUTH_FILE"),
            auth_files: auth_files.into_iter().flatten().collect(),
            programs: filled("PATH").map(|value| std::env::split_paths(&value).collect()).unwrap_or_default(),
            plain_http: Vec::new(),
            certificates: certificates.into_iter().flatten().collect(),
            ca_file: path("SSL_CERT_FILE"),
            ca_folder: path("SSL_CERT_DIR"),
            https_proxy: proxy(&["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"]),
            http_proxy: proxy(&["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"]),
            no_proxy: text(&["no_proxy", "NO_PROXY"]).unwrap_or_default(),
            offline: false,
            patience: Patience::default(),
        }
    }

    /// The files with credentials that are to be read.
    pub(super) fn files_with_credentials(&self) -> Vec<&Path> {
        match &self.auth_file {
            Some(file) => vec![file],
            None => self.auth_files.iter().map(PathBuf::as_path).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(pairs: &[(&str, &str)]) -> RegistrySettings {
        RegistrySettings::of_environment(7, |name| {
            pairs.iter().find(|(key, _)| *key == name).map(|(_, value)| OsString::from(value))
        })
    }

    #[test]
    fn files_with_credentials_are_those_of_podman_and_then_of_docker() {
        let settings = of(&[("HOME", "/h")]);
        let files: Vec<&str> = settings.files_with_credentials().iter().map(|path| path.to_str().unwrap()).collect();
        assert_eq!(
            files,
            [
                "/run/containers/7/auth.json",
                "/h/.config/containers/auth.json",
                "/h/.docker/config.json",
                "/h/.dockercfg"
            ]
        );
        let settings =
            of(&[("HOME", "/h"), ("XDG_RUNTIME_DIR", "/r"), ("XDG_CONFIG_HOME", "/c"), ("DOCKER_CONFIG", "/d")]);
        let files: Vec<&str> = settings.files_with_credentials().iter().map(|path| path.to_str().unwrap()).collect();
        assert_eq!(files, ["/r/containers/auth.json", "/c/containers/auth.json", "/d/config.json", "/h/.dockercfg"]);
        let only = of(&[("HOME", "/h"), ("REGISTRY_AUTH_FILE", "/a.json")]);
        assert_eq!(only.files_with_credentials(), [Path::new("/a.json")]);
        assert_eq!(of(&[]).files_with_credentials(), [Path::new("/run/containers/7/auth.json")]);
    }

    #[test]
    fn proxies_are_taken_in_the_order_of_curl_and_are_not_shown() {
        let settings = of(&[("HTTPS_PROXY", "http://u:pw@p:1"), ("https_proxy", ""), ("ALL_PROXY", "http://all")]);
        assert_eq!(settings.https_proxy, Some(Secret::new("http://u:pw@p:1")));
        assert_eq!(settings.http_proxy, Some(Secret::new("http://all")));
        assert!(!format!("{settings:?}").contains("pw"));
    }
}
