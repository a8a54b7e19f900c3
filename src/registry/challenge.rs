//! `WWW-Authenticate`: how a registry wants to be asked.
//!
//! Grammar: RFC 9110, 11.6.1. Several challenges may come in one header or in several; parameters are separated by commas as the
//! challenges are, so a word is a scheme if no `=` follows it.

/// One challenge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Challenge {
    /// A token is to be fetched from a realm.
    Bearer { realm: String, service: Option<String>, scope: Option<String> },
    /// User and password.
    Basic,
}

/// Reads all challenges of a header. Schemes that are not known are left out.
pub(super) fn challenges(header: &str) -> Vec<Challenge> {
    let mut found = Vec::new();
    let mut rest = header;
    let mut scheme: Option<String> = None;
    let mut parameters: Vec<(String, String)> = Vec::new();
    let finish = |scheme: Option<String>, parameters: &mut Vec<(String, String)>, found: &mut Vec<Challenge>| {
        let get = |name: &str| parameters.iter().find(|(key, _)| key == name).map(|(_, value)| value.clone());
        match scheme.as_deref() {
            Some("basic") => found.push(Challenge::Basic),
            Some("bearer") => {
                if let Some(realm) = get("realm") {
                    found.push(Challenge::Bearer { realm, service: get("service"), scope: get("scope") });
                }
            }
            _ => {}
        }
        parameters.clear();
    };
    loop {
        rest = rest.trim_start_matches([' ', '\t', ',']);
        if rest.is_empty() {
            break;
        }
        let end = rest.find([' ', '\t', ',', '=']).unwrap_or(rest.len());
        let word = rest[..end].to_ascii_lowercase();
        let after = rest[end..].trim_start_matches([' ', '\t']);
        match after.strip_prefix('=') {
            Some(value) if !word.is_empty() => {
                let (value, left) = value_of(value.trim_start_matches([' ', '\t']));
                parameters.push((word, value));
                rest = left;
            }
            // A `=` without a name is skipped, so that the end is reached.
            Some(value) => rest = value,
            None => {
                finish(scheme.take(), &mut parameters, &mut found);
                scheme = Some(word);
                rest = after;
            }
        }
    }
    finish(scheme, &mut parameters, &mut found);
    found
}

/// A token or a quoted string, and what follows it.
fn value_of(text: &str) -> (String, &str) {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find([' ', '\t', ',']).unwrap_or(text.len());
        return (text[..end].to_string(), &text[end..]);
    };
    let mut value = String::new();
    let mut letters = quoted.char_indices();
    while let Some((at, letter)) = letters.next() {
        match letter {
            '"' => return (value, &quoted[at + 1..]),
            '\\' => value.extend(letters.next().map(|(_, letter)| letter)),
            other => value.push(other),
        }
    }
    (value, "")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bearer(realm: &str, service: Option<&str>, scope: Option<&str>) -> Challenge {
        let text = |text: Option<&str>| text.map(str::to_string);
        Challenge::Bearer { realm: realm.into(), service: text(service), scope: text(scope) }
    }

    #[test]
    fn challenges_are_read_in_all_their_forms() {
        let docker = r#"Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="repository:a/b:pull,push""#;
        assert_eq!(
            challenges(docker),
            [bearer("https://auth.docker.io/token", Some("registry.docker.io"), Some("repository:a/b:pull,push"))]
        );
        assert_eq!(challenges("Basic realm=\"x\""), [Challenge::Basic]);
        assert_eq!(challenges("basic"), [Challenge::Basic]);
        let both = r#"Basic realm="a, b" , BEARER Realm = https://t/ , service=s"#;
        assert_eq!(challenges(both), [Challenge::Basic, bearer("https://t/", Some("s"), None)]);
        assert_eq!(challenges(r#"Bearer realm="a\"b""#), [bearer("a\"b", None, None)]);
    }

    #[test]
    fn what_is_not_a_challenge_is_left_out() {
        for text in ["", ",,,", "Bearer", "Bearer service=\"x\"", "Negotiate abc==", "=", "==\"", "Digest realm=\"x"] {
            assert_eq!(challenges(text), [], "{text}");
        }
    }
}
