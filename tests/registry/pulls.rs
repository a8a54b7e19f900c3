//! Reading: manifests, tags and blobs, with broken connections, wrong bytes and answers that say "later".

use std::time::Duration;

use sazare::digest::Digest;
use sazare::reference::Tag;

use crate::server::{Fault, INDEX, Lock, Reply, Server};
use crate::{bytes, pull, read, repository};

fn put_manifest(server: &Server, tag: &str, text: &str) -> Digest {
    let digest = Digest::of(text.as_bytes());
    for name in [tag.to_string(), digest.to_string()] {
        server.state().manifests.insert(format!("a/b/{name}"), (INDEX.into(), text.into()));
    }
    digest
}

const EMPTY: &str = r#"{"schemaVersion":2,"manifests":[]}"#;

#[test]
fn a_blob_whose_connection_breaks_at_every_tenth_is_whole() {
    let server = Server::start();
    let all = bytes(100_000);
    let digest = server.put_blob(&all);
    for ranges in [true, false] {
        server.state().ranges = ranges;
        // Each connection brings a tenth more than the one before.
        server.hook(move |asked, before| match asked.method.as_str() {
            "GET" if before < 9 => Fault::Cut(if ranges { 10_000 } else { (before + 1) * 10_000 }),
            _ => Fault::None,
        });
        server.take_log();
        assert!(read(&pull(&server), &digest, all.len()).unwrap() == all);
        let log = server.take_log();
        let asked: Vec<_> = log.iter().filter_map(|asked| asked.header("range")).collect();
        if ranges {
            let expected: Vec<String> = (1..10).map(|tenth| format!("bytes={}-", tenth * 10_000)).collect();
            assert_eq!(asked, expected);
        }
    }
    for tenth in 0..10 {
        server.state().ranges = true;
        server.take_log();
        server.hook(move |asked, before| match asked.method.as_str() {
            "GET" if before == 0 => Fault::Instead(Reply::new(200).body(bytes(100_000)).cut(tenth * 10_000)),
            _ => Fault::None,
        });
        assert!(read(&pull(&server), &digest, all.len()).unwrap() == all, "{tenth}");
    }
}

#[test]
fn a_connection_that_always_breaks_is_an_error_that_says_how_far_it_came() {
    let server = Server::start();
    let all = bytes(1000);
    let digest = server.put_blob(&all);
    server.hook(|asked, before| match (asked.method.as_str(), before) {
        ("GET", 0) => Fault::Changed(|reply| reply.cut(300)),
        ("GET", _) => Fault::Changed(|reply| reply.cut(0)),
        _ => Fault::None,
    });
    let error = read(&pull(&server), &digest, all.len()).unwrap_err();
    assert!(error.contains("after 300 of 1000 bytes"), "{error}");
    assert!(server.take_log().len() < 12);
}

#[test]
fn wrong_bytes_lengths_and_parts_are_errors() {
    let server = Server::start();
    let all = bytes(1000);
    let digest = server.put_blob(&all);
    let wrong = |change: fn(Reply) -> Reply| {
        server.hook(move |asked, _| if asked.method == "GET" { Fault::Changed(change) } else { Fault::None });
        read(&pull(&server), &digest, 1000).unwrap_err()
    };
    let flipped = wrong(|mut reply| {
        reply.body[999] ^= 1;
        reply
    });
    assert!(flipped.contains("digest mismatch"), "{flipped}");
    let longer = wrong(|mut reply| {
        reply.body.push(0);
        reply
    });
    assert!(longer.contains("1001 bytes of the blob where 1000 are expected"), "{longer}");
    let shorter = wrong(|mut reply| {
        reply.body.truncate(10);
        reply
    });
    assert!(shorter.contains("10 bytes of the blob where 1000 are expected"), "{shorter}");
    server.hook(|asked, before| match (asked.method.as_str(), before) {
        ("GET", 0) => Fault::Changed(|reply| reply.cut(500)),
        ("GET", _) => Fault::Instead(Reply::new(206).with("Content-Range", "bytes 0-999/1000").body(bytes(1000))),
        _ => Fault::None,
    });
    server.take_log();
    let error = read(&pull(&server), &digest, 1000).unwrap_err();
    assert!(error.contains("another part"), "{error}");
    server.hook(|_, _| Fault::None);
    assert!(read(&pull(&server), &Digest::of(b"absent"), 6).unwrap_err().contains("does not have the blob sha256:"));
}

#[test]
fn answers_that_say_later_are_tried_again_and_others_are_not() {
    for (status, tries) in
        [(408, 5), (429, 5), (500, 5), (502, 5), (503, 5), (504, 5), (400, 1), (403, 1), (404, 1), (410, 1)]
    {
        let server = Server::start();
        server.hook(move |_, _| Fault::Instead(Reply::new(status).with("Retry-After", "0").body("{}")));
        let error = pull(&server).manifest(Some(&Tag::latest()), None).unwrap_err().to_string();
        assert_eq!(server.take_log().len(), tries, "{status}: {error}");
    }
    let server = Server::start();
    let digest = put_manifest(&server, "latest", EMPTY);
    server.hook(|_, before| if before < 3 { Fault::Instead(Reply::new(503)) } else { Fault::None });
    assert_eq!(pull(&server).manifest(None, None).unwrap().digest, digest);
    server.hook(|_, before| if before < 7 { Fault::Silence } else { Fault::None });
    assert_eq!(pull(&server).manifest(None, None).unwrap().digest, digest);
}

#[test]
fn a_manifest_is_proved_and_bounded() {
    let server = Server::start();
    let digest = put_manifest(&server, "v1", EMPTY);
    let repository = pull(&server);
    let v1: Tag = "v1".parse().unwrap();
    assert_eq!(repository.manifest(None, Some(&digest)).unwrap().bytes, EMPTY.as_bytes());
    assert_eq!(repository.tag_digest(&v1).unwrap(), Some(digest));
    assert_eq!(repository.tag_digest(&Tag::latest()).unwrap(), None);
    assert!(repository.has_manifest(&digest).unwrap());
    let error = repository.manifest(None, None).unwrap_err();
    assert!(error.is_not_found() && error.to_string().ends_with("/a/b:latest"), "{error}");

    server.state().says_digest = false;
    assert_eq!(repository.tag_digest(&v1).unwrap(), Some(digest));
    server.state().says_digest = true;
    server.hook(|_, _| Fault::Changed(|reply| reply.body("{}")));
    let error = repository.manifest(Some(&v1), None).unwrap_err().to_string();
    assert!(error.contains("has another digest"), "{error}");
    server.hook(|_, _| Fault::Instead(Reply::new(200).body(vec![b' '; (4 << 20) + 1])));
    let error = repository.manifest(Some(&v1), None).unwrap_err().to_string();
    assert!(error.contains("more than 4194304 bytes"), "{error}");
    // A type that says nothing is looked for in the document.
    server.hook(|_, _| Fault::Instead(Reply::new(200).with("Content-Type", "application/json").body(EMPTY)));
    assert_eq!(repository.manifest(Some(&v1), None).unwrap().media_type, INDEX);
}

#[test]
fn tags_come_in_pages_and_the_list_ends() {
    let server = Server::start();
    for tag in ["a", "b", "c", "d", "e"] {
        put_manifest(&server, tag, EMPTY);
    }
    let repository = pull(&server);
    let tags: Vec<String> = repository.tags().unwrap().iter().map(Tag::to_string).collect();
    assert_eq!(tags, ["a", "b", "c", "d", "e"]);
    server.hook(|_, _| Fault::Changed(|reply| reply.with("Link", "</v2/a/b/tags/list?n=2>; rel=\"next\"")));
    assert!(repository.tags().unwrap_err().to_string().contains("does not end"));
    server.hook(|_, _| Fault::Changed(|reply| reply.with("Link", "<http://127.0.0.2:1/x>; rel=\"next\"")));
    assert!(repository.tags().unwrap_err().to_string().contains("another host"));
}

#[test]
fn what_refers_to_a_manifest_is_asked_of_the_api_and_else_of_the_tag() {
    let server = Server::start();
    let subject = put_manifest(&server, "v1", EMPTY);
    let signature = format!(r#"{{"schemaVersion":2,"subject":{{"digest":"{subject}","size":1,"mediaType":"x/y"}}}}"#);
    let digest = put_manifest(&server, "sig", &signature);
    let repository = pull(&server);
    let found = repository.referrers(&subject).unwrap();
    assert!(found.api && found.manifests.len() == 1 && found.manifests[0].digest().to_string() == digest.to_string());

    // GHCR: a redirect to a web page. Others: 404, or a page of HTML.
    for answer in [
        Reply::new(303).with("Location", "http://web.example/"),
        Reply::new(404),
        Reply::new(200).with("Content-Type", "text/html").body("<html>"),
        Reply::new(405),
    ] {
        server.hook(
            move |asked, _| {
                if asked.path().contains("/referrers/") { Fault::Instead(answer.clone()) } else { Fault::None }
            },
        );
        let found = repository.referrers(&subject).unwrap();
        assert!(!found.api && found.manifests.is_empty());
    }
    let index = format!(r#"{{"schemaVersion":2,"manifests":[{{"mediaType":"x/y","digest":"{digest}","size":1}}]}}"#);
    put_manifest(&server, &format!("sha256-{}", subject.hex()), &index);
    assert_eq!(repository.referrers(&subject).unwrap().manifests.len(), 1);
}

#[test]
fn tokens_are_fetched_once_and_anew_when_they_expire() {
    let server = Server::start();
    server.state().lock = Lock::Bearer(Duration::from_secs(60));
    put_manifest(&server, "v1", EMPTY);
    let repository = pull(&server);
    let v1: Tag = "v1".parse().unwrap();
    (0..3).for_each(|_| drop(repository.manifest(Some(&v1), None).unwrap()));
    let log = server.take_log();
    let tokens: Vec<_> = log.iter().filter(|asked| asked.path() == "/token").collect();
    assert_eq!(tokens.len(), 1);
    assert_eq!(tokens[0].query("scope"), ["repository:a/b:pull"]);
    assert_eq!(tokens[0].query("service"), ["here"]);
    assert_eq!(log.len(), 5, "the first request, the token, and three with it");

    // The registry says a minute, and it is less.
    server.state().lock = Lock::Bearer(Duration::from_millis(50));
    let repository = pull(&server);
    for _ in 0..3 {
        repository.manifest(Some(&v1), None).unwrap();
        std::thread::sleep(Duration::from_millis(60));
    }
    assert_eq!(server.take_log().iter().filter(|asked| asked.path() == "/token").count(), 3);
}

#[test]
fn user_and_password_work_too_and_without_them_the_error_says_where_was_looked() {
    let server = Server::start();
    put_manifest(&server, "v1", EMPTY);
    for lock in [Lock::Basic, Lock::Bearer(Duration::from_secs(60))] {
        server.state().lock = lock.clone();
        assert!(pull(&server).manifest(Some(&"v1".parse().unwrap()), None).is_ok(), "{lock:?}");
        let (settings, folder) = crate::settings(None);
        let registries = std::sync::Arc::new(sazare::registry::Registries::new(settings));
        let name = format!("{}/a/b", server.host).parse().unwrap();
        let stranger =
            sazare::registry::RemoteRepository::new(&registries, &name, &sazare::registry::Intent::Pull).unwrap();
        let error = stranger.manifest(Some(&"v1".parse().unwrap()), None).unwrap_err().to_string();
        let host = &server.host;
        let search =
            format!("no credentials for {host}/a/b, {host}/a, {host} in {}/auth.json", folder.path().display());
        assert!(error.ends_with(&search), "{error}");
    }
}

#[test]
fn a_wrong_password_is_not_tried_again_and_not_shown() {
    let server = Server::start();
    server.state().lock = Lock::Basic;
    server.hook(|_, _| Fault::Instead(Reply::new(401).with("WWW-Authenticate", "Basic realm=\"x\"")));
    let error = pull(&server).manifest(None, None).unwrap_err().to_string();
    assert_eq!(server.take_log().len(), 2);
    assert!(error.contains("it was asked with the credentials of") && !error.contains("dTpw"), "{error}");
}

#[test]
fn an_empty_blob_needs_no_request() {
    let server = Server::start();
    let repository = repository(&server, "a/b", &sazare::registry::Intent::Pull);
    server.take_log();
    assert_eq!(read(&repository, &Digest::of(b""), 0).unwrap(), b"");
    assert!(read(&repository, &Digest::of(b"x"), 0).is_err());
    assert_eq!(server.take_log().len(), 0);
}
