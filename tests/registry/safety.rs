//! What a registry could do to who speaks to it. Each rule was an advisory for another client in 2026.

use std::time::Duration;

use sazare::digest::Digest;
use sazare::registry::{BlobSource, PushedBlob};

use crate::server::{Asked, Fault, Lock, Reply, Server};
use crate::{bytes, pull, push, read};

fn with_credentials(log: &[Asked]) -> Vec<String> {
    log.iter().filter(|asked| asked.header("authorization").is_some()).map(Asked::line).collect()
}

#[test]
fn a_redirect_to_another_host_or_port_gets_no_credentials() {
    for address in ["127.0.0.1", "127.0.0.2"] {
        let (server, storage) = (Server::start(), Server::at(address));
        let all = bytes(10_000);
        let digest = server.put_blob(&all);
        storage.put_blob(&all);
        server.state().storage = Some(format!("http://{}/storage/", storage.host));
        for lock in [Lock::Basic, Lock::Bearer(Duration::from_secs(60))] {
            server.state().lock = lock;
            server.take_log();
            // The first connection breaks; the rest is asked of the registry again.
            storage.take_log();
            storage.hook(|_, before| if before == 0 { Fault::Changed(|reply| reply.cut(5000)) } else { Fault::None });
            assert!(read(&pull(&server), &digest, all.len()).unwrap() == all);
            let log = storage.take_log();
            assert_eq!(log.len(), 2);
            assert_eq!(log[1].header("range"), Some("bytes=5000-"));
            assert_eq!(with_credentials(&log), [""; 0]);
            assert!(with_credentials(&server.take_log()).len() >= 2);
        }
        // A foreign host that asks for credentials does not get them.
        storage.hook(|_, _| Fault::Instead(Reply::new(401).with("WWW-Authenticate", "Basic realm=\"x\"")));
        storage.take_log();
        let error = read(&pull(&server), &digest, all.len()).unwrap_err();
        assert!(error.contains(&storage.host) && !error.contains("s3cret"), "{error}");
        assert_eq!(with_credentials(&storage.take_log()), [""; 0]);
    }
}

#[test]
fn an_upload_that_goes_on_at_another_host_gets_no_credentials_there() {
    let (server, other) = (Server::start(), Server::at("127.0.0.2"));
    server.state().lock = Lock::Basic;
    server.state().upload_host = Some(other.host.clone());
    other.state().uploads.insert("u1".into(), Vec::new());
    let all = bytes(1000);
    let open =
        |from: u64| -> std::io::Result<Box<dyn std::io::Read + Send + '_>> { Ok(Box::new(&all[from as usize..])) };
    let source = BlobSource { digest: Digest::of(&all), size: 1000, open: &open };
    assert_eq!(push(&server).push_blob(&source).unwrap(), PushedBlob::Sent);
    let log = other.take_log();
    assert_eq!(log.len(), 1);
    assert_eq!(with_credentials(&log), [""; 0]);
}

#[test]
fn redirects_and_uploads_do_not_lead_to_hosts_without_tls_or_of_the_own_network() {
    let server = Server::start();
    let digest = server.put_blob(b"x");
    for place in ["http://plain.example/", "http://169.254.169.254/latest/", "https://metadata.google.internal/"] {
        server.state().storage = Some(place.into());
        let error = read(&pull(&server), &digest, 1).unwrap_err();
        assert!(error.ends_with("this is not safe"), "{error}");
        server.hook(move |asked, _| match asked.method.as_str() {
            "POST" => Fault::Instead(Reply::new(202).with("Location", place)),
            _ => Fault::None,
        });
        let open = |_: u64| -> std::io::Result<Box<dyn std::io::Read + Send>> { Ok(Box::new(b"y".as_slice())) };
        let source = BlobSource { digest: Digest::of(b"y"), size: 1, open: &open };
        let error = push(&server).push_blob(&source).unwrap_err().to_string();
        assert!(error.ends_with("this is not safe"), "{error}");
    }
}

#[test]
fn a_redirect_that_never_ends_does() {
    let server = Server::start();
    server.hook(|asked, _| Fault::Instead(Reply::new(302).with("Location", format!("{}x", asked.target))));
    let error = pull(&server).manifest(None, None).unwrap_err().to_string();
    assert!(error.ends_with("it redirects more than 5 times"), "{error}");
}

#[test]
fn a_realm_elsewhere_is_not_asked_and_gets_nothing() {
    let (server, other) = (Server::start(), Server::at("127.0.0.2"));
    server.state().lock = Lock::Bearer(Duration::from_secs(60));
    for realm in [
        format!("http://{}/token", other.host),
        "http://169.254.169.254/".into(),
        "https://203.0.113.1/".into(),
        "ftp://x/".into(),
    ] {
        server.state().challenge = Some(format!("Bearer realm=\"{realm}\""));
        let error = pull(&server).manifest(None, None).unwrap_err().to_string();
        assert!(error.ends_with("this is not safe"), "{error}");
    }
    assert_eq!(other.take_log().len(), 0);
}

#[test]
fn answers_without_end_are_bounded() {
    let server = Server::start();
    server.state().lock = Lock::Bearer(Duration::from_secs(60));
    server.hook(|asked, _| match asked.path() {
        "/token" => Fault::Instead(Reply::new(200).body(vec![b' '; (1 << 20) + 1])),
        _ => Fault::None,
    });
    let error = pull(&server).manifest(None, None).unwrap_err().to_string();
    assert!(error.contains("more than 1048576 bytes"), "{error}");
    for token in [r#"{"token":"a\r\nX-Evil: 1"}"#, r#"{"token":""}"#, "{}", "hunter2"] {
        server.hook(move |asked, _| match asked.path() {
            "/token" => Fault::Instead(Reply::new(200).body(token)),
            _ => Fault::None,
        });
        let error = pull(&server).manifest(None, None).unwrap_err().to_string();
        assert!(error.contains("unexpected answer") && !error.contains("hunter2"), "{error}");
    }
}

#[test]
fn an_error_shows_one_printable_line_of_what_the_registry_says() {
    let server = Server::start();
    server.hook(|_, _| {
        let message = format!("a\\u001b[31m\\nb{}", "x".repeat(1000));
        Fault::Instead(Reply::new(400).body(format!(r#"{{"errors":[{{"code":"C","message":"{message}"}}]}}"#)))
    });
    let error = pull(&server).manifest(None, None).unwrap_err().to_string();
    assert!(error.contains("(C: a[31m bxxx") && error.len() < 500 && !error.contains('\n'), "{error}");
}
