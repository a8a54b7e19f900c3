//! Values of settings that have a form of their own: what `build` writes is checked here, whether a recipe or a flag names it.

/// What is wrong with a value, and what to write.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}; {help}")]
pub struct SettingFault {
    /// What is wrong: `not a port: "abc"`.
    pub message: String,
    /// What to write in its place.
    pub help: &'static str,
}

/// The largest number of a user or group that runc takes.
pub const ID_MAX: u32 = 2_147_483_647;

fn fault(what: &str, text: &str, help: &'static str) -> SettingFault {
    SettingFault { message: format!("{what}: {text:?}"), help }
}

/// `USER`, `UID`, `USER:GROUP` or `UID:GID`.
///
/// # Errors
/// When a part is empty or cannot be a name, or a number is larger than [`ID_MAX`].
pub fn user(text: &str) -> Result<String, SettingFault> {
    let (user, group) = text.split_once(':').map_or((text, None), |(user, group)| (user, Some(group)));
    for part in [Some(user), group].into_iter().flatten() {
        if part.is_empty() || part.contains([':', '/', ' ', '\n']) {
            return Err(fault("not a user", text, "write USER, UID, USER:GROUP or UID:GID"));
        }
        if part.bytes().all(|byte| byte.is_ascii_digit()) && !part.parse().is_ok_and(|id: u32| id <= ID_MAX) {
            return Err(fault("the number of a user or group is too large", text, "the largest one is 2147483647"));
        }
    }
    Ok(text.to_string())
}

/// An absolute path of the image.
///
/// # Errors
/// When it does not start with `/`.
pub fn directory(text: &str) -> Result<String, SettingFault> {
    if text.starts_with('/') {
        Ok(text.to_string())
    } else {
        Err(fault("not an absolute path", text, "start it with `/`"))
    }
}

/// The mount point of a volume: an absolute path below `/`.
///
/// # Errors
/// When it is relative, or `/` itself.
pub fn volume(text: &str) -> Result<String, SettingFault> {
    let path = directory(text)?;
    match is_root(&path) {
        true => Err(fault("a volume cannot be mounted at the root", text, "name a directory below it")),
        false => Ok(path),
    }
}

/// Whether a path is `/`, as text: engines clean it without looking at links.
pub fn is_root(path: &str) -> bool {
    let mut depth = 0_usize;
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => depth = depth.saturating_sub(1),
            _ => depth += 1,
        }
    }
    depth == 0
}

/// `80`, `80/tcp`, `53/udp`; without a protocol it is tcp, as docker completes it.
///
/// # Errors
/// When it is not a number from 1 to 65535, or the protocol is not one of tcp, udp and sctp.
pub fn port(text: &str) -> Result<String, SettingFault> {
    let (number, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
    let digits = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
    match number.parse::<u16>() {
        Ok(number) if digits && number > 0 && matches!(protocol, "tcp" | "udp" | "sctp") => {
            Ok(format!("{number}/{protocol}"))
        }
        _ => Err(fault("not a port", text, "write 80, \"80/tcp\", \"53/udp\" or \"5000/sctp\"")),
    }
}

/// The name or number of a signal that Linux has: SIGTERM, TERM, SIGRTMIN+3, 15.
///
/// # Errors
/// When Linux does not have it.
pub fn stop_signal(text: &str) -> Result<String, SettingFault> {
    match is_signal(text) {
        true => Ok(text.to_string()),
        false => {
            Err(fault("not a signal", text, "write a name such as SIGTERM or SIGRTMIN+3, or a number from 1 to 64"))
        }
    }
}

/// Whether a text names a signal that Linux has: a number, or a name with or without `SIG`.
fn is_signal(text: &str) -> bool {
    const NAMES: [&str; 34] = [
        "HUP", "INT", "QUIT", "ILL", "TRAP", "ABRT", "IOT", "BUS", "FPE", "KILL", "USR1", "SEGV", "USR2", "PIPE",
        "ALRM", "TERM", "STKFLT", "CHLD", "CONT", "STOP", "TSTP", "TTIN", "TTOU", "URG", "XCPU", "XFSZ", "VTALRM",
        "PROF", "WINCH", "IO", "POLL", "PWR", "SYS", "CLD",
    ];
    if text.bytes().all(|byte| byte.is_ascii_digit()) {
        return text.parse().is_ok_and(|number: u8| (1..=64).contains(&number));
    }
    let name = text.strip_prefix("SIG").unwrap_or(text);
    // glibc keeps two of the kernel's real-time signals for itself.
    let real_time = |rest: &str, sign: char, most: u8| match rest.strip_prefix(sign) {
        Some(digits) => digits.parse().is_ok_and(|number: u8| (1..=most).contains(&number)),
        None => rest.is_empty(),
    };
    NAMES.contains(&name)
        || name.strip_prefix("RTMIN").is_some_and(|rest| real_time(rest, '+', 15))
        || name.strip_prefix("RTMAX").is_some_and(|rest| real_time(rest, '-', 14))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals() {
        for text in ["SIGTERM", "TERM", "9", "64", "SIGRTMIN+3", "RTMAX-14", "SIGRTMIN"] {
            assert!(stop_signal(text).is_ok(), "{text}");
        }
        for text in ["", "0", "65", "SIGFOO", "sigterm", "RTMIN+16", "RTMIN-1", "RTMIN+"] {
            assert!(stop_signal(text).is_err(), "{text}");
        }
    }

    #[test]
    fn users() {
        for text in ["root", "1000", "0:0", "app:video", "2147483647:2147483647"] {
            assert_eq!(user(text).as_deref(), Ok(text));
        }
        for text in ["", ":0", "0:", "a:b:c", "root ", "2147483648", "0:4294967295", "99999999999"] {
            assert!(user(text).is_err(), "{text}");
        }
    }

    #[test]
    fn ports() {
        assert_eq!(port("80").as_deref(), Ok("80/tcp"));
        assert_eq!(port("5000/sctp").as_deref(), Ok("5000/sctp"));
        for text in ["", "0", "65536", "+80", "80/", "80/TCP", "80/foo", "80-90", "abc", "/tcp"] {
            assert!(port(text).is_err(), "{text}");
        }
    }

    #[test]
    fn volumes() {
        assert_eq!(volume("/data").as_deref(), Ok("/data"));
        for text in ["", "data", "/", "//", "/.", "/etc/..", "/../"] {
            assert!(volume(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_fault_says_what_to_write() {
        assert_eq!(directory("x").unwrap_err().to_string(), "not an absolute path: \"x\"; start it with `/`");
    }
}
