//! What is known about single registries, as data.
//!
//! Nothing here is needed for a correct result: the protocol finds out by itself what a registry cannot do. It saves requests that
//! are known to fail, and says what to do about an answer that is known to mislead.

/// What is special about a registry.
#[derive(Debug, PartialEq, Eq)]
pub struct Quirks {
    /// The host, or `.` and the end of one, or the start of one and `.`.
    host: &'static str,
    /// Where the API is, if not at the host itself.
    pub(super) api: Option<&'static str>,
    /// Whether blobs of other repositories can be mounted.
    pub(super) mounts: bool,
    /// Whether an upload may come in several requests.
    pub(super) chunks: bool,
    /// Whether it may have the referrers API of distribution-spec 1.1.
    pub(super) referrers: bool,
    /// What to do about an answer with this status.
    hints: &'static [(u16, &'static str)],
}

const PLAIN: Quirks = Quirks { host: "", api: None, mounts: true, chunks: true, referrers: true, hints: &[] };

/// The table. Each row with where it is from; docs/registries.md has the same in words.
const TABLE: &[Quirks] = &[
    // google/go-containerregistry#1741: mounts work inside Docker Hub. The API has its own host.
    Quirks {
        host: "docker.io",
        api: Some("registry-1.docker.io"),
        hints: &[(429, "Docker Hub limits pulls: log in (`docker login`, `podman login`), or wait")],
        ..PLAIN
    },
    // artifacthub/hub#4785: no referrers API, but a redirect to a web page.
    Quirks { host: "ghcr.io", referrers: false, ..PLAIN },
    // aws/containers-roadmap#853: a repository must exist; #2380: an immutable tag cannot be put again.
    Quirks {
        host: ".amazonaws.com",
        hints: &[
            (404, "Amazon ECR does not create repositories: create it first (`aws ecr create-repository`)"),
            (400, "a tag in a repository with immutable tags cannot be changed: use another tag"),
        ],
        ..PLAIN
    },
    // containers/skopeo#1101: uploads in several requests fail.
    Quirks { host: ".pkg.dev", chunks: false, ..PLAIN },
    Quirks { host: "gcr.io", chunks: false, ..PLAIN },
    Quirks { host: ".gcr.io", chunks: false, ..PLAIN },
    // oras-project/oras-py#137: uploads in several requests were put together wrongly.
    Quirks { host: "quay.io", chunks: false, ..PLAIN },
    // wasmCloud/wasmCloud#3405: some versions keep only the last chunk; no mounts.
    Quirks { host: ".jfrog.io", chunks: false, mounts: false, ..PLAIN },
];

impl Quirks {
    /// Those of a registry, as people name it.
    pub fn of(registry: &str) -> &'static Quirks {
        static NONE: Quirks = PLAIN;
        let host = registry.split(':').next().unwrap_or_default().to_ascii_lowercase();
        let is_it = |quirks: &&Quirks| match quirks.host.strip_prefix('.') {
            Some(_) => host.ends_with(quirks.host),
            None => host == quirks.host,
        };
        TABLE.iter().find(is_it).unwrap_or(&NONE)
    }

    /// What to do about an answer with this status.
    pub fn hint(&self, status: u16) -> Option<&'static str> {
        self.hints.iter().find(|(known, _)| *known == status).map(|(_, hint)| *hint)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_registry_is_found_by_its_whole_host_or_by_the_end_of_it() {
        assert_eq!(Quirks::of("docker.io").api, Some("registry-1.docker.io"));
        assert!(!Quirks::of("europe-docker.pkg.dev").chunks);
        assert!(Quirks::of("1.dkr.ecr.eu-west-1.amazonaws.com").hint(404).is_some());
        for other in ["docker.io.example.com", "notghcr.io", "127.0.0.1:5000", "pkg.dev.example", "xquay.io"] {
            assert_eq!(Quirks::of(other), &PLAIN, "{other}");
        }
    }
}
