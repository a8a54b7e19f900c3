//! Credentials, where docker and podman keep them.
//!
//! Files: containers-auth.json(5) and docker's `config.json`, in the order of [`RegistrySettings`]. In each, what counts is the
//! helper that `credHelpers` has for the registry, else the longest key of `auths` that contains the repository
//! (`quay.io/user/image`, `quay.io/user`, `quay.io`), else the helper of `credsStore`. The first file that has something wins.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use serde::Deserialize;

use super::credential_helper;
use super::error::RegistryError;
use super::secret::Secret;
use super::settings::RegistrySettings;
use crate::input;
use crate::reference::Repository;

/// The largest file with credentials, in bytes.
const FILE_MAX: u64 = 4 << 20;

/// The user name by which helpers and docker mark a token.
const TOKEN_USER: &str = "<token>";

/// The key of Docker Hub, which has the form of another age.
const DOCKER_HUB: &str = "https://index.docker.io/v1/";

/// What a registry is given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Credential {
    /// User and password.
    Password { user: String, password: Secret },
    /// A token from which others are made.
    IdentityToken(Secret),
}

/// Where credentials were looked for, for the error that says that they do not help.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CredentialSearch {
    /// The files that exist and were read, in order.
    pub read: Vec<PathBuf>,
    /// The files that do not exist.
    pub absent: Vec<PathBuf>,
    /// The keys that were tried in each, in order.
    pub keys: Vec<String>,
    /// The file and the key, or the helper, that had credentials.
    pub found: Option<String>,
}

impl fmt::Display for CredentialSearch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list =
            |paths: &[PathBuf]| paths.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", ");
        if let Some(found) = &self.found {
            return write!(f, "it was asked with the credentials of {found}");
        }
        match (self.read.as_slice(), self.absent.as_slice()) {
            ([], absent) => write!(f, "no file with credentials exists: {}", list(absent)),
            (read, _) => write!(f, "no credentials for {} in {}", self.keys.join(", "), list(read)),
        }
    }
}

/// A file of podman or docker. What else is in it does not matter.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct AuthFile {
    #[serde(default)]
    auths: BTreeMap<String, Entry>,
    #[serde(default)]
    cred_helpers: BTreeMap<String, String>,
    #[serde(default)]
    creds_store: String,
}

#[derive(Default, Deserialize)]
struct Entry {
    #[serde(default)]
    auth: String,
    #[serde(default)]
    identitytoken: String,
    #[serde(default)]
    username: String,
    #[serde(default)]
    password: String,
}

/// Looks for the credentials of a repository.
pub(super) fn find(
    settings: &RegistrySettings,
    repository: &Repository,
) -> Result<(Option<Credential>, CredentialSearch), RegistryError> {
    let keys = keys(repository);
    let mut search = CredentialSearch { keys: keys.clone(), ..CredentialSearch::default() };
    for path in settings.files_with_credentials() {
        let bytes = match input::read(path, FILE_MAX) {
            Ok(bytes) => bytes,
            Err(error) if is_absent(&error) => {
                search.absent.push(path.to_path_buf());
                continue;
            }
            Err(error) => return Err(fault(path, error)),
        };
        search.read.push(path.to_path_buf());
        if let Some((credential, from)) = in_file(settings, path, &bytes, repository, &keys)? {
            search.found = Some(from);
            return Ok((Some(credential), search));
        }
    }
    Ok((None, search))
}

fn is_absent(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{NotADirectory, NotFound, PermissionDenied};
    // A runtime directory of another user may not be searched.
    matches!(error.kind(), NotFound | NotADirectory | PermissionDenied)
}

fn fault(path: &Path, fault: impl ToString) -> RegistryError {
    RegistryError::File { path: path.to_path_buf(), fault: fault.to_string() }
}

fn in_file(
    settings: &RegistrySettings,
    path: &Path,
    bytes: &[u8],
    repository: &Repository,
    keys: &[String],
) -> Result<Option<(Credential, String)>, RegistryError> {
    if bytes.iter().all(u8::is_ascii_whitespace) {
        return Ok(None);
    }
    // serde's words could quote a value, so only the line is named.
    let wrong =
        |error: serde_json::Error| fault(path, format_args!("not the JSON of such a file, line {}", error.line()));
    let file: AuthFile = match path.file_name().is_some_and(|name| name == ".dockercfg") {
        true => AuthFile { auths: serde_json::from_slice(bytes).map_err(wrong)?, ..AuthFile::default() },
        false => serde_json::from_slice(bytes).map_err(wrong)?,
    };
    let hosts = &keys[keys.len().saturating_sub(if repository.registry() == "docker.io" { 3 } else { 1 })..];
    for (known, name) in &file.cred_helpers {
        if hosts.iter().any(|host| host == known) && !name.is_empty() {
            let answer = credential_helper::ask(settings, name, known)?;
            return Ok(answer.map(|answer| (of_answer(answer), format!("docker-credential-{name}, key {known}"))));
        }
    }
    for key in keys {
        let named = file.auths.iter().filter(|(known, _)| *known == key || host_of(known) == Some(key));
        for (known, entry) in named {
            if let Some(credential) = of_entry(entry).map_err(|text| fault(path, format_args!("{text}: {known}")))? {
                return Ok(Some((credential, format!("{}, key {known}", path.display()))));
            }
        }
    }
    if !file.creds_store.is_empty() {
        let name = &file.creds_store;
        let key = if repository.registry() == "docker.io" { DOCKER_HUB } else { repository.registry() };
        let answer = credential_helper::ask(settings, name, key)?;
        return Ok(answer.map(|answer| (of_answer(answer), format!("docker-credential-{name}, key {key}"))));
    }
    Ok(None)
}

/// The keys under which credentials of a repository may be, the longest first; the registry itself is the last.
pub(super) fn keys(repository: &Repository) -> Vec<String> {
    let mut keys = vec![repository.to_string()];
    while let Some((above, _)) = keys.last().and_then(|key| key.rsplit_once('/')) {
        keys.push(above.to_string());
    }
    if repository.registry() == "docker.io" {
        keys.extend([DOCKER_HUB.to_string(), "index.docker.io".to_string()]);
    }
    keys
}

/// The registry of a key that is a URL, as older versions of docker wrote it.
fn host_of(key: &str) -> Option<&str> {
    let rest = key.strip_prefix("https://").or_else(|| key.strip_prefix("http://"))?;
    rest.split('/').next()
}

fn of_answer((user, secret): (String, Secret)) -> Credential {
    if user == TOKEN_USER { Credential::IdentityToken(secret) } else { Credential::Password { user, password: secret } }
}

/// `None` if the entry is empty: docker leaves one where a helper has the password.
fn of_entry(entry: &Entry) -> Result<Option<Credential>, &'static str> {
    if !entry.identitytoken.is_empty() {
        return Ok(Some(Credential::IdentityToken(Secret::new(&*entry.identitytoken))));
    }
    if entry.auth.is_empty() {
        let password = Secret::new(&*entry.password);
        let user = entry.username.clone();
        return Ok((!user.is_empty()).then_some(Credential::Password { user, password }));
    }
    let config = GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
    let decoded = GeneralPurpose::new(&base64::alphabet::STANDARD, config).decode(entry.auth.trim());
    let text = decoded.ok().and_then(|bytes| String::from_utf8(bytes).ok()).ok_or("auth is not base64 of a text")?;
    // docker pads with zeros.
    let text = text.trim_end_matches('\0');
    let (user, password) = text.split_once(':').ok_or("auth has no colon between user and password")?;
    Ok(Some(of_answer((user.to_string(), Secret::new(password)))))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;
    use std::time::Duration;

    use super::*;

    struct Scene {
        folder: tempfile::TempDir,
        settings: RegistrySettings,
    }

    /// Files with these texts, in order.
    fn scene(texts: &[&str]) -> Scene {
        let folder = tempfile::tempdir().unwrap();
        let mut settings = RegistrySettings::default();
        for (number, text) in texts.iter().enumerate() {
            let path = folder.path().join(format!("{number}.json"));
            fs::write(&path, text).unwrap();
            settings.auth_files.push(path);
        }
        settings.programs = vec![folder.path().to_path_buf()];
        Scene { folder, settings }
    }

    impl Scene {
        fn helper(&self, name: &str, script: &str) {
            let path = self.folder.path().join(format!("docker-credential-{name}"));
            fs::write(&path, format!("#!/bin/sh\nread -r key\n{script}\n")).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        }

        fn find(&self, repository: &str) -> Result<Option<String>, String> {
            let found = find(&self.settings, &repository.parse().unwrap()).map_err(|error| error.to_string())?;
            Ok(found.0.map(|credential| match credential {
                Credential::Password { user, password } => format!("{user}:{}", password.reveal()),
                Credential::IdentityToken(token) => format!("token {}", token.reveal()),
            }))
        }
    }

    /// `u:p` in base64.
    const UP: &str = "dTpw";

    #[test]
    fn the_longest_key_and_the_first_file_win() {
        let scene = scene(&[
            r#"{"auths":{"quay.io/user":{"auth":"bjpw"},"quay.io":{"auth":"aDpw"}}}"#,
            r#"{"auths":{"quay.io/user/image":{"auth":"aTpw"},"other.io":{"username":"o","password":"p"}}}"#,
        ]);
        for (repository, found) in [
            ("quay.io/user/image", Some("n:p")),
            ("quay.io/user2/image", Some("h:p")),
            ("other.io/x", Some("o:p")),
            ("other.io:5000/x", None),
        ] {
            assert_eq!(scene.find(repository).unwrap().as_deref(), found, "{repository}");
        }
    }

    #[test]
    fn docker_hub_has_its_old_key_and_old_keys_are_urls() {
        for key in ["https://index.docker.io/v1/", "docker.io", "index.docker.io", "docker.io/library"] {
            let scene = scene(&[&format!(r#"{{"auths":{{"{key}":{{"auth":"{UP}"}}}}}}"#)]);
            assert_eq!(scene.find("debian").unwrap().as_deref(), Some("u:p"), "{key}");
            assert_eq!(scene.find("docker.io.example/debian").unwrap(), None);
        }
        let scene = scene(&[r#"{"auths":{"https://h.example/v1/":{"identitytoken":"t"}}}"#]);
        assert_eq!(scene.find("h.example/a").unwrap().as_deref(), Some("token t"));
    }

    #[test]
    fn only_the_helper_of_the_registry_is_run_and_before_the_store() {
        let scene = scene(&[
            r#"{"auths":{"h.example":{}},"credHelpers":{"h.example":"mine","x.example":"never"},"credsStore":"all"}"#,
        ]);
        let answer = |user: &str| format!(r#"echo "{{\"Username\":\"{user}\",\"Secret\":\"$key\"}}""#);
        scene.helper("mine", &answer("m"));
        scene.helper("all", &answer("<token>"));
        assert_eq!(scene.find("h.example/a").unwrap().as_deref(), Some("m:h.example"));
        assert_eq!(scene.find("y.example/a").unwrap().as_deref(), Some("token y.example"));
        assert_eq!(scene.find("debian").unwrap().as_deref(), Some("token https://index.docker.io/v1/"));
        let error = scene.find("x.example/a").unwrap_err();
        assert_eq!(error, "the credential helper docker-credential-never failed for x.example: it is not in PATH");
    }

    #[test]
    fn a_helper_that_fails_or_hangs_is_an_error_that_shows_no_secret() {
        let mut scene = scene(&[r#"{"credsStore":"all"}"#]);
        scene.settings.patience.helper = Duration::from_millis(300);
        scene.helper("all", "echo credentials not found in native keychain; exit 1");
        assert_eq!(scene.find("h.example/a").unwrap(), None);
        for (script, fault) in [
            ("echo locked; exit 3", "exit status: 3: locked"),
            ("echo hunter2", "its answer is not the JSON of a helper"),
            ("sleep 60 & sleep 60", "no answer within 0.3 s"),
        ] {
            scene.helper("all", script);
            let error = scene.find("h.example/a").unwrap_err();
            assert!(error.ends_with(fault), "{error}");
            assert!(!error.contains("hunter2"));
        }
        scene.settings.auth_files = vec![scene.folder.path().join("x.json")];
        fs::write(&scene.settings.auth_files[0], r#"{"credsStore":"../../bin/sh"}"#).unwrap();
        assert!(scene.find("h.example/a").unwrap_err().ends_with("not the name of a program"));
    }

    #[test]
    fn a_damaged_file_is_an_error_with_its_name_and_an_empty_one_is_not() {
        let scene = scene(&["", "{}", r#"{"auths":{"h.example":{"auth":"hunter2!"}}}"#]);
        assert_eq!(scene.find("other.example/a").unwrap(), None);
        let error = scene.find("h.example/a").unwrap_err();
        assert!(error.ends_with("2.json: auth is not base64 of a text: h.example"), "{error}");
        fs::write(&scene.settings.auth_files[0], "{\n\"auths\": \"hunter2\"}").unwrap();
        let error = scene.find("h.example/a").unwrap_err();
        assert!(error.ends_with("0.json: not the JSON of such a file, line 2"), "{error}");
    }

    #[test]
    fn the_search_names_files_and_keys() {
        let mut scene = scene(&["{}"]);
        scene.settings.auth_files.insert(0, "/absent/auth.json".into());
        let (_, search) = find(&scene.settings, &"quay.io/u/i".parse().unwrap()).unwrap();
        let file = scene.settings.auth_files[1].display();
        assert_eq!(search.to_string(), format!("no credentials for quay.io/u/i, quay.io/u, quay.io in {file}"));
        scene.settings.auth_files.pop();
        let (_, search) = find(&scene.settings, &"quay.io/u/i".parse().unwrap()).unwrap();
        assert_eq!(search.to_string(), "no file with credentials exists: /absent/auth.json");
    }
}
