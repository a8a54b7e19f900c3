//! Whom TLS trusts, and with what it identifies itself.
//!
//! The CAs of the machine, or those of `SSL_CERT_FILE` and `SSL_CERT_DIR`; where there are none, Mozilla's list as it was when
//! sazare was built, with a note. For a host, `certs.d/HOST[:PORT]/` adds CAs (`*.crt`) and client certificates (`NAME.cert` with
//! `NAME.key`), as containers-certs.d(5) and docker have it.

use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};

use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use ureq::tls::{Certificate, ClientCert, PemItem, RootCerts, TlsConfig, parse_pem};

use super::error::RegistryError;
use super::settings::RegistrySettings;
use super::url::Origin;
use crate::{host, input};

/// The largest file with certificates, in bytes.
const FILE_MAX: u64 = 16 << 20;

/// What TLS needs for one host.
pub(super) struct Tls {
    pub config: TlsConfig,
    /// The files that apply to this host only.
    pub files: Vec<PathBuf>,
    /// What the user should know.
    pub note: Option<String>,
}

/// Collects it.
pub(super) fn tls_for(settings: &RegistrySettings, origin: &Origin) -> Result<Tls, RegistryError> {
    let mut roots = machine(settings)?;
    let mut client = None;
    let mut files = Vec::new();
    for folder in folders(settings, origin) {
        for name in host::names(&folder).map_err(|error| fault(&folder, error))? {
            let path = folder.join(&name);
            match path.extension().and_then(OsStr::to_str) {
                Some("crt") => roots.extend(certificates(&path)?),
                Some("cert") if client.is_none() => client = Some(client_certificate(&path)?),
                Some("key") if !path.with_extension("cert").exists() => {
                    return Err(fault(&path, format_args!("{} is missing", path.with_extension("cert").display())));
                }
                _ => continue,
            }
            files.push(path);
        }
    }
    let note = roots.is_empty().then(|| {
        "this machine has no CA certificates: those that were built in are used (SSL_CERT_FILE names others)"
            .to_string()
    });
    let roots = if roots.is_empty() { RootCerts::WebPki } else { RootCerts::new_with_certs(&roots) };
    let config = TlsConfig::builder().root_certs(roots).client_cert(client).build();
    Ok(Tls { config, files, note })
}

/// The directories that are there for this host.
fn folders(settings: &RegistrySettings, origin: &Origin) -> Vec<PathBuf> {
    let host = if origin.host.contains(':') { format!("[{}]", origin.host) } else { origin.host.clone() };
    let names = [format!("{host}:{}", origin.port), host];
    // The port may be left out in the name of a directory only if it is left out in the reference.
    let names = if origin.port == 443 { &names[..] } else { &names[..1] };
    let all = settings.certificates.iter().flat_map(|folder| names.iter().map(|name| folder.join(name)));
    all.filter(|folder| folder.is_dir()).collect()
}

/// The CAs for all hosts.
fn machine(settings: &RegistrySettings) -> Result<Vec<Certificate<'static>>, RegistryError> {
    let (file, folder) = (settings.ca_file.as_deref(), settings.ca_folder.as_deref());
    let found = if file.is_some() || folder.is_some() {
        let found = rustls_native_certs::load_certs_from_paths(file, folder);
        if let (true, Some(error)) = (found.certs.is_empty(), found.errors.first()) {
            let path = file.or(folder).unwrap_or(Path::new("SSL_CERT_FILE"));
            return Err(fault(path, error));
        }
        found
    } else {
        rustls_native_certs::load_native_certs()
    };
    // Files of the machine that cannot be read are left out: another one may have the CA.
    Ok(found.certs.iter().map(|certificate| Certificate::from_der(certificate).to_owned()).collect())
}

fn fault(path: &Path, fault: impl ToString) -> RegistryError {
    RegistryError::File { path: path.to_path_buf(), fault: fault.to_string() }
}

fn items(path: &Path) -> Result<Vec<PemItem<'static>>, RegistryError> {
    let bytes = input::read(path, FILE_MAX).map_err(|error: io::Error| fault(path, error))?;
    let items: Result<Vec<_>, ureq::Error> = parse_pem(&bytes).collect();
    items.map_err(|error| fault(path, format_args!("not PEM: {error}")))
}

fn certificates(path: &Path) -> Result<Vec<Certificate<'static>>, RegistryError> {
    let items = items(path)?;
    let all: Vec<_> = items
        .into_iter()
        .filter_map(|item| match item {
            PemItem::Certificate(certificate) => Some(certificate),
            _ => None,
        })
        .collect();
    if all.is_empty() { Err(fault(path, "it contains no certificate")) } else { Ok(all) }
}

/// A certificate and its key. The pair is checked here: TLS would not say which file is wrong.
fn client_certificate(path: &Path) -> Result<ClientCert, RegistryError> {
    let chain = certificates(path)?;
    let key_file = path.with_extension("key");
    let key = items(&key_file)?.into_iter().find_map(|item| match item {
        PemItem::PrivateKey(key) => Some(key),
        _ => None,
    });
    let key = key.ok_or_else(|| fault(&key_file, "it contains no private key"))?;
    let ders = chain.iter().map(|certificate| CertificateDer::from(certificate.der().to_vec())).collect();
    let der = PrivateKeyDer::try_from(key.der().to_vec()).map_err(|error| fault(&key_file, error))?;
    CertifiedKey::from_der(ders, der, &rustls::crypto::ring::default_provider())
        .map_err(|error| fault(&key_file, format_args!("not a key for {}: {error}", path.display())))?;
    Ok(ClientCert::new_with_certs(&chain, key))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_directory_of_a_host_is_that_of_its_port_and_its_faults_name_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let certificates = vec![folder.path().to_path_buf()];
        let mut settings = RegistrySettings { certificates, ..RegistrySettings::default() };
        let here = folder.path().join("h.example:5000");
        fs::create_dir(&here).unwrap();
        let other = Origin::of_registry("h.example", true).unwrap();
        assert_eq!(tls_for(&settings, &other).unwrap().files, [] as [PathBuf; 0]);

        let origin = Origin::of_registry("h.example:5000", true).unwrap();
        fs::write(here.join("ca.crt"), "no PEM").unwrap();
        let error = tls_for(&settings, &origin).err().unwrap().to_string();
        assert!(error.ends_with("h.example:5000/ca.crt: it contains no certificate"), "{error}");
        fs::remove_file(here.join("ca.crt")).unwrap();
        fs::write(here.join("client.key"), "").unwrap();
        let error = tls_for(&settings, &origin).err().unwrap().to_string();
        assert!(error.ends_with("client.cert is missing"), "{error}");

        settings.ca_file = Some(folder.path().join("absent.pem"));
        let error = tls_for(&settings, &other).err().unwrap().to_string();
        assert!(error.contains("absent.pem"), "{error}");
    }
}
