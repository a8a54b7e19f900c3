//! Dynamic string tokens of glibc's loader: `$ORIGIN`, `${LIB}`, `$PLATFORM`.

/// The length of `$NAME` or `${NAME}` at the beginning, if it is there.
pub(crate) fn token(text: &[u8], name: &[u8]) -> Option<usize> {
    let rest = text.strip_prefix(b"$".as_slice())?;
    if let Some(inner) = rest.strip_prefix(b"{".as_slice()) {
        return inner.strip_prefix(name)?.starts_with(b"}").then_some(name.len() + 3);
    }
    let after = rest.strip_prefix(name)?;
    let goes_on = after.first().is_some_and(|byte| byte.is_ascii_alphanumeric() || *byte == b'_');
    (!goes_on).then_some(name.len() + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_ends_with_its_name() {
        assert_eq!(token(b"$ORIGIN/x", b"ORIGIN"), Some(7));
        assert_eq!(token(b"${ORIGIN}x", b"ORIGIN"), Some(9));
        assert_eq!(token(b"$ORIGINAL", b"ORIGIN"), None);
        assert_eq!(token(b"${ORIGIN", b"ORIGIN"), None);
    }
}
