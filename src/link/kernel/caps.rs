//! File capabilities of a program that an engine starts (`security/commoncap.c`, 6.12).
//!
//! A program with the effective bit needs all of its permitted capabilities. If one of them is not in the bounding set of the
//! container, execve(2) fails with `EPERM`, for root as for any other user.

use crate::capability::{ATTRIBUTE, Capabilities};
use crate::report::Code;
use crate::tree::Metadata;

use crate::link::draft::Draft;

/// Engines do not grant the effective capabilities of a program.
pub const CAPS_REFUSED: Code = Code("caps-refused");

/// The capabilities that podman grants by default (4 and later, `containers/common`).
const PODMAN: &[&str] = &[
    "cap_chown",
    "cap_dac_override",
    "cap_fowner",
    "cap_fsetid",
    "cap_kill",
    "cap_net_bind_service",
    "cap_setfcap",
    "cap_setgid",
    "cap_setpcap",
    "cap_setuid",
    "cap_sys_chroot",
];

/// Those that docker and containerd grant in addition (`moby/oci/caps`).
const DOCKER_TOO: &[&str] = &["cap_audit_write", "cap_mknod", "cap_net_raw"];

/// The finding about a program that the image config names; `None` if every engine starts it.
pub(crate) fn refused(meta: &Metadata, spelled: &str) -> Option<Draft> {
    let capabilities = Capabilities::from_bytes(meta.xattrs.get(ATTRIBUTE)?).ok()?;
    let names = Capabilities::names(capabilities.permitted);
    if !capabilities.effective || names.is_empty() {
        return None;
    }
    let outside_podman = names.iter().any(|name| !PODMAN.contains(name));
    let outside_docker = names.iter().any(|name| !PODMAN.contains(name) && !DOCKER_TOO.contains(name));
    let kubernetes = "Kubernetes' restricted profile";
    let engines = match (outside_podman, outside_docker) {
        (_, true) => format!("docker, podman and {kubernetes} do"),
        (true, false) => format!("podman and {kubernetes} do"),
        (false, false) => format!("{kubernetes} does"),
    };
    let all = names.join(", ");
    let message = format!("has capabilities in effect that {engines} not grant by default: {all}");
    let draft = if outside_podman { Draft::warning(CAPS_REFUSED, message) } else { Draft::note(CAPS_REFUSED, message) };
    let flags: Vec<String> =
        names.iter().map(|name| format!("--cap-add {}", name.trim_start_matches("cap_").to_uppercase())).collect();
    Some(
        draft
            .says(format!("exec {spelled}: operation not permitted"))
            .because("security.capability", format!("effective and permitted: {all}"))
            .fix(format!(
                "clear the effective bit (`capabilities = \"{}=p\"`) and let the program raise what it may have, or run it with `{}`",
                names.join(","),
                flags.join(" ")
            )),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::Severity;
    use crate::tree::Mode;

    /// Observed with runc 1.1.5 on Linux 6.18, as root and as uid 1000: `EPERM` if the effective bit is set and a permitted
    /// capability is not in the bounding set; never if the bit is not set.
    #[test]
    fn what_is_in_effect_must_be_granted() {
        let of = |text: &str| {
            let mut meta = Metadata::new(Mode::from_bits(0o755), 0);
            let value = text.parse::<Capabilities>().unwrap().to_bytes();
            meta.xattrs.insert(ATTRIBUTE.into(), value.into());
            refused(&meta, "/app").map(|draft| (draft.severity, draft.message))
        };
        let start = "has capabilities in effect that";
        for (text, expected) in [
            (
                "cap_net_raw=ep",
                Some((
                    Severity::Warning,
                    "podman and Kubernetes' restricted profile do not grant by default: cap_net_raw",
                )),
            ),
            (
                "cap_net_admin=eip",
                Some((
                    Severity::Warning,
                    "docker, podman and Kubernetes' restricted profile do not grant by default: cap_net_admin",
                )),
            ),
            (
                "cap_net_bind_service=ep",
                Some((
                    Severity::Note,
                    "Kubernetes' restricted profile does not grant by default: cap_net_bind_service",
                )),
            ),
            ("cap_net_raw=p", None),
            ("cap_net_raw=ip", None),
            ("cap_net_raw=ei", None),
        ] {
            let expected = expected.map(|(severity, rest)| (severity, format!("{start} {rest}")));
            assert_eq!(of(text), expected, "{text}");
        }
        assert_eq!(refused(&Metadata::new(Mode::from_bits(0o755), 0), "/app"), None);
    }
}
