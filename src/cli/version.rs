//! What `--version` prints.

/// Version, and the compressors that the digests of layers depend on.
pub const LONG_VERSION: &str = if cfg!(feature = "native") {
    concat!(
        env!("CARGO_PKG_VERSION"),
        "\ngzip: libdeflate 1.26.1, members of up to 1.5 MiB\nzstd: libzstd 1.5.7, frames of up to 6 MiB"
    )
} else {
    concat!(
        env!("CARGO_PKG_VERSION"),
        "\ngzip: zlib-rs 0.6.8, members of up to 1.5 MiB (built without the feature `native`: other digests than with it)\nzstd: not in this build"
    )
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_names_the_libraries_and_spans_that_digests_depend_on() {
        use sazare::codec::compress::{Compression, LIBDEFLATE, LIBZSTD, ZLIB_RS};
        let mebibytes = |form: Compression| form.span() as f64 / 1_048_576.0;
        let gzip =
            if cfg!(feature = "native") { format!("libdeflate {LIBDEFLATE}") } else { format!("zlib-rs {ZLIB_RS}") };
        let gzip = format!("gzip: {gzip}, members of up to {} MiB", mebibytes(Compression::DEFAULT));
        assert!(LONG_VERSION.contains(&gzip), "{gzip}");
        let zstd = mebibytes(Compression::Zstd(Compression::ZSTD_LEVEL));
        let zstd = format!("zstd: libzstd {LIBZSTD}, frames of up to {zstd} MiB");
        assert_eq!(LONG_VERSION.contains(&zstd), cfg!(feature = "native"), "{zstd}");
    }
}
