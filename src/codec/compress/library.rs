//! The libraries that decide compressed bytes, each at one version. `Cargo.toml` pins them; a new version may make other bytes, and
//! so other digests.

/// The version of libdeflate, which makes gzip with the feature `native`.
pub const LIBDEFLATE: &str = "1.26.1";

/// The version of zlib-rs, which makes gzip without the feature `native`.
pub const ZLIB_RS: &str = "0.6.8";

/// The version of libzstd.
pub const LIBZSTD: &str = "1.5.7";

/// The version of lzma-rust2, which makes xz.
pub const LZMA_RUST2: &str = "0.25.0";

/// The library that makes gzip in this build, with its version.
pub(super) fn gzip() -> String {
    if cfg!(feature = "native") { format!("libdeflate-{LIBDEFLATE}") } else { format!("zlib-rs-{ZLIB_RS}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_library_that_decides_bytes_is_pinned_to_the_version_that_is_said() {
        let manifest = include_str!("../../../Cargo.toml");
        let lock = include_str!("../../../Cargo.lock");
        let pinned = |name: &str| {
            let line = manifest.lines().find(|line| line.starts_with(&format!("{name} = ")));
            let version = line.and_then(|line| line.split('"').find_map(|part| part.strip_prefix('=')));
            version.unwrap_or_else(|| panic!("{name} is not pinned")).to_owned()
        };
        let locked =
            |name: &str, version: &str| lock.contains(&format!("name = \"{name}\"\nversion = \"{version}\"\n"));
        for (name, version) in [("libdeflater", LIBDEFLATE), ("zlib-rs", ZLIB_RS), ("lzma-rust2", LZMA_RUST2)] {
            assert_eq!(pinned(name), version, "{name}");
            assert!(locked(name, version), "{name}");
        }
        assert!(locked("libdeflate-sys", LIBDEFLATE));
        for name in ["flate2", "zstd"] {
            assert!(locked(name, &pinned(name)), "{name}");
        }
        let sys = lock.lines().find(|line| line.starts_with("version") && line.contains("+zstd."));
        assert!(sys.is_some_and(|line| line.ends_with(&format!("+zstd.{LIBZSTD}\""))), "{sys:?}");
        #[cfg(feature = "native")]
        assert_eq!(zstd::zstd_safe::version_string(), LIBZSTD);
    }
}
