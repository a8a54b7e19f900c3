//! Writing: every way in which an upload can go on after a fault, and every quirk of registries that take it.

use std::io::{Cursor, Read};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use sazare::digest::Digest;
use sazare::oci::{self, MediaType};
use sazare::reference::Tag;
use sazare::registry::{BlobSource, Intent, PushedBlob, RegistryError, RemoteRepository};

use crate::server::{Asked, Fault, INDEX, Lock, Reply, Server};
use crate::{bytes, push, repository};

/// Pushes bytes; counts how many were read for it.
fn send(repository: &RemoteRepository, all: &[u8]) -> (Result<PushedBlob, RegistryError>, usize) {
    let count = AtomicUsize::new(0);
    let open = |from: u64| -> std::io::Result<Box<dyn Read + Send + '_>> {
        let counted = Counted(Cursor::new(&all[from as usize..]), &count);
        Ok(Box::new(counted))
    };
    let source = BlobSource { digest: Digest::of(all), size: all.len() as u64, open: &open };
    (repository.push_blob(&source), count.load(Ordering::SeqCst))
}

struct Counted<'a>(Cursor<&'a [u8]>, &'a AtomicUsize);

impl Read for Counted<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let count = self.0.read(buffer)?;
        self.1.fetch_add(count, Ordering::SeqCst);
        Ok(count)
    }
}

fn pushed(server: &Server, all: &[u8]) -> PushedBlob {
    let result = send(&push(server), all).0.unwrap();
    assert!(server.state().blobs.get(&Digest::of(all).to_string()).is_some_and(|there| there == all));
    result
}

fn lines(log: &[Asked]) -> Vec<String> {
    let short = |asked: &Asked| format!("{} {}", asked.method, asked.path().split("/blobs/").last().unwrap());
    log.iter().map(short).collect()
}

#[test]
fn a_blob_is_looked_for_then_mounted_then_sent_in_one_request() {
    let server = Server::start();
    let all = bytes(50_000);
    assert_eq!(pushed(&server, &all), PushedBlob::Sent);
    let digest = Digest::of(&all);
    // The first is the question whether there is TLS; it never comes as a request.
    assert_eq!(lines(&server.take_log()), [format!("HEAD {digest}"), "POST uploads/".into(), "PUT uploads/u1".into()]);
    assert_eq!(pushed(&server, &all), PushedBlob::Present);
    assert_eq!(lines(&server.take_log()), [format!("HEAD {digest}")]);

    let other: Intent =
        Intent::Push(vec![format!("{}/base/x", server.host).parse().unwrap(), "docker.io/library/y".parse().unwrap()]);
    server.hook(|asked, _| if asked.method == "HEAD" { Fault::Instead(Reply::new(404)) } else { Fault::None });
    assert_eq!(send(&repository(&server, "a/c", &other), &all).0.unwrap(), PushedBlob::Mounted);
    let log = server.take_log();
    assert_eq!(log.len(), 2, "a repository of another registry is not asked for");
    assert_eq!(log[1].query("from"), ["base/x"]);
    // Where it cannot be mounted, the upload that begins instead is used.
    server.hook(|_, _| Fault::None);
    server.state().mounts = false;
    let other_bytes = bytes(10);
    assert_eq!(send(&repository(&server, "a/c", &other), &other_bytes).0.unwrap(), PushedBlob::Sent);
    assert_eq!(server.take_log().iter().filter(|asked| asked.method == "POST").count(), 1);
    // Where it is refused, another is begun.
    server.hook(|asked, _| if asked.query("mount").is_empty() { Fault::None } else { Fault::Instead(Reply::new(404)) });
    assert_eq!(send(&repository(&server, "a/c", &other), &bytes(11)).0.unwrap(), PushedBlob::Sent);
}

#[test]
fn an_upload_that_breaks_at_every_tenth_goes_on_with_what_the_registry_has() {
    let all = bytes(1_000_000);
    for tenth in 0..10 {
        let server = Server::start();
        server.hook(move |asked, before| match (asked.method.as_str(), before) {
            ("PUT", 0) => Fault::CutBody(tenth * 100_000),
            _ => Fault::None,
        });
        let (result, read) = send(&push(&server), &all);
        assert_eq!(result.unwrap(), PushedBlob::Sent);
        assert!(server.state().blobs[&Digest::of(&all).to_string()] == all);
        let log = server.take_log();
        let rest = log.iter().find(|asked| asked.method == "PATCH").and_then(|asked| asked.header("content-range"));
        if tenth > 0 {
            assert_eq!(rest.map(str::to_string), Some(format!("{}-999999", tenth * 100_000)), "{tenth}");
            // What was under way on the connection when it broke is sent again.
            assert!(read <= 2_000_000 - tenth * 50_000, "{tenth}: {read}");
        }
    }
}

#[test]
fn a_registry_that_cannot_go_on_gets_the_blob_anew() {
    let all = bytes(300_000);
    for what in ["no session", "no parts", "wrong parts", "stale range", "patch says 201", "patch says 204"] {
        let server = Server::start();
        {
            let mut state = server.state();
            match what {
                "no session" => state.session_get = false,
                "no parts" => state.patch = false,
                "wrong parts" => state.keeps_last_part = true,
                "stale range" => state.stale_range = true,
                "patch says 201" => state.patch_status = 201,
                _ => state.patch_status = 204,
            }
        }
        server.hook(|asked, before| match (asked.method.as_str(), before) {
            ("PUT", 0) => Fault::CutBody(100_000),
            _ => Fault::None,
        });
        let (result, _) = send(&push(&server), &all);
        match (what, result) {
            // 405 is not an answer that a second try would change.
            ("no parts", Err(error)) => assert!(error.to_string().contains("405"), "{error}"),
            (_, result) => {
                assert_eq!(result.unwrap(), PushedBlob::Sent, "{what}");
                assert!(server.state().blobs[&Digest::of(&all).to_string()] == all, "{what}");
            }
        }
    }
}

#[test]
fn a_failure_that_was_a_success_is_one() {
    let all = bytes(1000);
    for status in [404, 500, 502, 504] {
        let server = Server::start();
        server.hook(move |asked, _| match asked.method.as_str() {
            "PUT" => Fault::Afterwards(Reply::new(status).body(r#"{"errors":[{"code":"BLOB_UPLOAD_UNKNOWN"}]}"#)),
            _ => Fault::None,
        });
        assert_eq!(pushed(&server, &all), PushedBlob::Sent, "{status}");
        assert_eq!(server.take_log().iter().filter(|asked| asked.method == "PUT").count(), 1);
    }
    let server = Server::start();
    server.hook(|asked, _| if asked.method == "PUT" { Fault::Silence } else { Fault::None });
    assert_eq!(pushed(&server, &all), PushedBlob::Sent);
}

#[test]
fn a_registry_that_fails_for_good_is_an_error_and_its_session_is_ended() {
    let all = bytes(1000);
    for (status, tries) in [(500, 5), (403, 1), (400, 5)] {
        let server = Server::start();
        server.hook(move |asked, _| match asked.method.as_str() {
            "PUT" => Fault::Instead(Reply::new(status).body(r#"{"errors":[{"code":"X","message":"y"}]}"#)),
            _ => Fault::None,
        });
        let error = send(&push(&server), &all).0.unwrap_err().to_string();
        assert!(error.contains("X: y"), "{error}");
        let log = server.take_log();
        assert_eq!(log.iter().filter(|asked| asked.method == "PUT").count(), tries, "{status}");
        assert!(server.state().blobs.is_empty());
        assert!(status == 403 || server.state().uploads.is_empty(), "{status}");
    }
}

#[test]
fn what_is_too_large_for_one_request_goes_in_parts() {
    let all = bytes(5 << 20);
    let server = Server::start();
    server.state().body_max = 2 << 20;
    assert_eq!(pushed(&server, &all), PushedBlob::Sent);
    let log = server.take_log();
    let parts: Vec<_> =
        log.iter().filter(|asked| asked.method == "PATCH" && !asked.cut && asked.body.len() <= 2 << 20).collect();
    assert!(parts.len() >= 3, "{}", parts.len());
    server.state().body_max = 1000;
    let error = send(&push(&server), &bytes((5 << 20) + 1)).0.unwrap_err().to_string();
    assert!(error.contains("413"), "{error}");
}

#[test]
fn a_token_that_expires_in_the_middle_of_an_upload_is_fetched_anew() {
    let server = Server::start();
    server.state().lock = Lock::Bearer(Duration::from_millis(400));
    server.hook(|asked, before| match (asked.method.as_str(), before) {
        // It takes longer than the token lives.
        ("PUT", 0) => {
            std::thread::sleep(Duration::from_millis(500));
            Fault::CutBody(500_000)
        }
        _ => Fault::None,
    });
    assert_eq!(pushed(&server, &bytes(1_000_000)), PushedBlob::Sent);
    let log = server.take_log();
    let tokens: Vec<_> = log.iter().filter(|asked| asked.path() == "/token").collect();
    assert!(tokens.len() >= 2, "{}", tokens.len());
    assert!(tokens.iter().all(|asked| asked.query("scope") == ["repository:a/b:pull,push"]));
}

#[test]
fn a_token_is_asked_for_all_repositories_of_an_operation_at_once() {
    let server = Server::start();
    server.state().lock = Lock::Bearer(Duration::from_secs(60));
    let all = bytes(10);
    server.put_blob(&all);
    let intent = Intent::Push(vec![format!("{}/base/x", server.host).parse().unwrap()]);
    server.hook(|asked, _| {
        let is_look = asked.method == "HEAD" && asked.header("authorization").is_some();
        if is_look { Fault::Instead(Reply::new(404)) } else { Fault::None }
    });
    assert_eq!(send(&repository(&server, "a/b", &intent), &all).0.unwrap(), PushedBlob::Mounted);
    let log = server.take_log();
    let tokens: Vec<_> = log.iter().filter(|asked| asked.path() == "/token").collect();
    assert_eq!(tokens.len(), 1);
    assert_eq!(tokens[0].query("scope"), ["repository:a/b:pull,push", "repository:base/x:pull"]);
}

const EMPTY: &[u8] = br#"{"manifests":[],"schemaVersion":2}"#;

fn tags(names: &[&str]) -> Vec<Tag> {
    names.iter().map(|name| name.parse().unwrap()).collect()
}

#[test]
fn several_tags_go_in_one_request_where_the_registry_can() {
    for (can, requests) in [(true, 1), (false, 3)] {
        let server = Server::start();
        server.state().several_tags = can;
        let put = push(&server).put_manifest(EMPTY, INDEX, &tags(&["v1", "v2"])).unwrap();
        assert_eq!(put.digest, Digest::of(EMPTY));
        assert_eq!(server.take_log().len(), requests);
        for name in ["v1", "v2", &put.digest.to_string()] {
            assert!(server.state().manifests.contains_key(&format!("a/b/{name}")), "{name}");
        }
    }
}

#[test]
fn a_manifest_that_the_registry_changes_or_refuses_is_an_error() {
    let server = Server::start();
    server.hook(|_, _| Fault::Afterwards(Reply::new(201).with("Docker-Content-Digest", Digest::of(b"other"))));
    let error = push(&server).put_manifest(EMPTY, INDEX, &tags(&["v1"])).unwrap_err().to_string();
    assert!(error.contains("it has another digest for what was sent"), "{error}");
    server.hook(|_, _| Fault::Instead(Reply::new(400).body(r#"{"errors":[{"code":"TAG_IMMUTABLE"}]}"#)));
    let error = push(&server).put_manifest(EMPTY, INDEX, &tags(&["v1"])).unwrap_err().to_string();
    assert!(error.contains("answers 400") && error.contains("TAG_IMMUTABLE"), "{error}");
    // An error after success is a success.
    for status in [404, 500] {
        let server = Server::start();
        server.hook(
            move |asked, _| if asked.method == "PUT" { Fault::Afterwards(Reply::new(status)) } else { Fault::None },
        );
        push(&server).put_manifest(EMPTY, INDEX, &tags(&["v1"])).unwrap();
        push(&server).put_manifest(EMPTY, INDEX, &[]).unwrap();
    }
}

#[test]
fn a_referrer_is_kept_under_the_tag_where_there_is_no_api_and_other_clients_lose_nothing() {
    let subject = Digest::of(b"subject");
    let referrer = |text: &[u8]| oci::descriptor(MediaType::ImageManifest, &Digest::of(text), text.len() as u64);
    let server = Server::start();
    server.state().referrers = false;
    let there: Vec<&[u8]> = vec![b"{}", b"{ }", b"{  }"];
    for text in &there {
        let text: &[u8] = text;
        server.state().manifests.insert(format!("a/b/{}", Digest::of(text)), (INDEX.into(), text.to_vec()));
    }
    let repository = push(&server);
    repository.add_referrer(&subject, &referrer(there[0])).unwrap();
    // Between the next reading and writing, another client is first.
    let tag = format!("/v2/a/b/manifests/sha256-{}", subject.hex());
    let mut once = true;
    let other = oci::canonical(&oci::index(vec![referrer(there[2])], &oci::Annotations::new()));
    server.take_log();
    server.hook(move |asked, _| {
        if asked.method == "PUT" && asked.path() == tag && once {
            once = false;
            // What this client writes is overwritten at once.
            return Fault::Instead(Reply::new(201));
        }
        Fault::None
    });
    server.state().manifests.insert(format!("a/b/sha256-{}", subject.hex()), (INDEX.into(), other));
    repository.add_referrer(&subject, &referrer(there[1])).unwrap();
    let found = repository.referrers(&subject).unwrap();
    assert!(!found.api);
    let digests: Vec<String> = found.manifests.iter().map(|found| found.digest().to_string()).collect();
    assert_eq!(digests, [Digest::of(there[2]).to_string(), Digest::of(there[1]).to_string()]);
    // With the API nothing is written.
    server.state().referrers = true;
    server.take_log();
    repository.add_referrer(&subject, &referrer(there[0])).unwrap();
    assert!(server.take_log().iter().all(|asked| asked.method == "GET"));
}

#[test]
fn a_source_that_cannot_be_read_is_an_error_and_is_not_tried_again() {
    let server = Server::start();
    let open = |_: u64| -> std::io::Result<Box<dyn Read + Send>> { Err(std::io::Error::other("it went away")) };
    let source = BlobSource { digest: Digest::of(b"x"), size: 1, open: &open };
    let error = push(&server).push_blob(&source).unwrap_err().to_string();
    assert_eq!(error, "cannot read what is to be sent: it went away");
}
