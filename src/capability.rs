//! File capabilities: the text that setcap(8) takes, and the value of the `security.capability` attribute.
//!
//! Text form: cap_from_text(3). A clause names capabilities (`cap_net_raw,cap_net_admin`, or `all`, or none at all
//! before `=`) and then sets (`=`), raises (`+`) or lowers (`-`) them in the effective, inheritable and permitted set
//! (`e`, `i`, `p`). Value: `struct vfs_cap_data` in the kernel's `include/uapi/linux/capability.h`, revision 2, little
//! endian. It is only bytes: no privilege is needed to write them into an archive.
//!
//! Decisions: `all` is the 41 capabilities of Linux 5.9 and later, whatever kernel runs here. The owner of a user
//! namespace (revision 3) is dropped: it is an accident of who built, and would change the image's digest.

use std::fmt;
use std::str::FromStr;

/// The name of the extended attribute.
pub const ATTRIBUTE: &[u8] = b"security.capability";

/// The names of all capabilities; the position is the number (`include/uapi/linux/capability.h`).
pub const NAMES: [&str; 41] = [
    "cap_chown",
    "cap_dac_override",
    "cap_dac_read_search",
    "cap_fowner",
    "cap_fsetid",
    "cap_kill",
    "cap_setgid",
    "cap_setuid",
    "cap_setpcap",
    "cap_linux_immutable",
    "cap_net_bind_service",
    "cap_net_broadcast",
    "cap_net_admin",
    "cap_net_raw",
    "cap_ipc_lock",
    "cap_ipc_owner",
    "cap_sys_module",
    "cap_sys_rawio",
    "cap_sys_chroot",
    "cap_sys_ptrace",
    "cap_sys_pacct",
    "cap_sys_admin",
    "cap_sys_boot",
    "cap_sys_nice",
    "cap_sys_resource",
    "cap_sys_time",
    "cap_sys_tty_config",
    "cap_mknod",
    "cap_lease",
    "cap_audit_write",
    "cap_audit_control",
    "cap_setfcap",
    "cap_mac_override",
    "cap_mac_admin",
    "cap_syslog",
    "cap_wake_alarm",
    "cap_block_suspend",
    "cap_audit_read",
    "cap_perfmon",
    "cap_bpf",
    "cap_checkpoint_restore",
];

const ALL: u64 = (1 << NAMES.len()) - 1;

/// `VFS_CAP_REVISION_MASK`.
const REVISION_MASK: u32 = 0xff00_0000;
/// `VFS_CAP_REVISION_2`.
const REVISION_2: u32 = 0x0200_0000;
/// `VFS_CAP_REVISION_3`: revision 2 with the owner of a user namespace behind it.
const REVISION_3: u32 = 0x0300_0000;
/// `VFS_CAP_FLAGS_EFFECTIVE`.
const EFFECTIVE: u32 = 1;

/// The capabilities of a file. Bit N stands for [`NAMES`]`[N]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capabilities {
    /// Whether a process has them in effect from the start.
    pub effective: bool,
    /// What a process gets.
    pub permitted: u64,
    /// What a process keeps of what its parent handed down.
    pub inheritable: u64,
}

/// Why text or bytes are no file capabilities.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CapabilityError {
    /// The text has another form.
    #[error("not capabilities in setcap's format (such as cap_net_raw=ep): {0:?}")]
    Form(String),
    /// No capability has this name.
    #[error("no such capability: {0:?}")]
    UnknownName(String),
    /// A set is named by something else than `e`, `i` or `p`.
    #[error("a capability is `e`ffective, `i`nheritable or `p`ermitted, not {0:?}")]
    UnknownFlag(char),
    /// No capability is given.
    #[error("the list of capabilities is empty")]
    Nothing,
    /// A file has one effective bit for all its capabilities, and some would be effective and others not.
    #[error("a file has one effective bit for all its capabilities: set `e` for all of them or for none")]
    MixedEffective,
    /// Effective, but neither permitted nor inheritable: it would have no effect.
    #[error("effective without being permitted or inheritable has no effect: {0}")]
    EffectiveOnly(String),
    /// The bytes have a length or a revision that no kernel writes.
    #[error("not a security.capability value of revision 2 or 3: {0} bytes")]
    Bytes(usize),
}

impl Capabilities {
    /// The value of the `security.capability` attribute, revision 2.
    pub fn to_bytes(&self) -> [u8; 20] {
        let magic = REVISION_2 | if self.effective { EFFECTIVE } else { 0 };
        let words = [
            magic,
            self.permitted as u32,
            self.inheritable as u32,
            (self.permitted >> 32) as u32,
            (self.inheritable >> 32) as u32,
        ];
        let mut bytes = [0; 20];
        for (place, word) in bytes.chunks_exact_mut(4).zip(words) {
            place.copy_from_slice(&word.to_le_bytes());
        }
        bytes
    }

    /// The names of the capabilities in a set.
    pub fn names(set: u64) -> Vec<&'static str> {
        NAMES.iter().enumerate().filter(|(bit, _)| set >> bit & 1 == 1).map(|(_, name)| *name).collect()
    }

    /// Reads the value of the attribute, revision 2 or 3; of the latter the owner is dropped.
    ///
    /// # Errors
    /// On another length or revision.
    pub fn from_bytes(bytes: &[u8]) -> Result<Capabilities, CapabilityError> {
        let error = || CapabilityError::Bytes(bytes.len());
        let mut words = [0; 6];
        if !bytes.len().is_multiple_of(4) || bytes.len() > 24 {
            return Err(error());
        }
        for (word, part) in words.iter_mut().zip(bytes.chunks_exact(4)) {
            *word = part.iter().rev().fold(0_u32, |word, byte| word << 8 | u32::from(*byte));
        }
        let [magic, permitted_low, inheritable_low, permitted_high, inheritable_high, _] = words;
        match (magic & REVISION_MASK, bytes.len()) {
            (REVISION_2, 20) | (REVISION_3, 24) => Ok(Capabilities {
                effective: magic & EFFECTIVE != 0,
                permitted: u64::from(permitted_high) << 32 | u64::from(permitted_low),
                inheritable: u64::from(inheritable_high) << 32 | u64::from(inheritable_low),
            }),
            _ => Err(error()),
        }
    }
}

impl FromStr for Capabilities {
    type Err = CapabilityError;

    fn from_str(text: &str) -> Result<Capabilities, CapabilityError> {
        let (mut effective, mut inheritable, mut permitted) = (0, 0, 0);
        for clause in text.split_whitespace() {
            let form = || CapabilityError::Form(clause.to_string());
            let operator = clause.find(['=', '+', '-']).ok_or_else(form)?;
            let (names, mut actions) = clause.split_at(operator);
            let mut chosen = 0;
            if names.is_empty() {
                // Only `=` may stand without names, and means all of them then.
                if !actions.starts_with('=') {
                    return Err(form());
                }
                chosen = ALL;
            }
            for name in names.split(',').filter(|_| !names.is_empty()) {
                chosen |= bits(name)?;
            }
            while let Some(operator) = actions.chars().next() {
                let end = actions[1..].find(['=', '+', '-']).map_or(actions.len(), |end| end + 1);
                let flags = &actions[1..end];
                if flags.is_empty() && operator != '=' {
                    return Err(form());
                }
                if operator == '=' {
                    for set in [&mut effective, &mut inheritable, &mut permitted] {
                        *set &= !chosen;
                    }
                }
                for flag in flags.chars() {
                    let set = match flag {
                        'e' => &mut effective,
                        'i' => &mut inheritable,
                        'p' => &mut permitted,
                        other => return Err(CapabilityError::UnknownFlag(other)),
                    };
                    if operator == '-' {
                        *set &= !chosen;
                    } else {
                        *set |= chosen;
                    }
                }
                actions = &actions[end..];
            }
        }
        let given = inheritable | permitted;
        if effective & !given != 0 {
            return Err(CapabilityError::EffectiveOnly(list(effective & !given)));
        }
        if given == 0 {
            return Err(CapabilityError::Nothing);
        }
        if effective != 0 && effective != given {
            return Err(CapabilityError::MixedEffective);
        }
        Ok(Capabilities { effective: effective != 0, permitted, inheritable })
    }
}

impl fmt::Display for Capabilities {
    /// The text form, one clause for each combination of sets: `cap_net_admin,cap_net_raw=ep`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let effective = if self.effective { "e" } else { "" };
        let mut space = "";
        for (bits, sets) in [
            (self.permitted & self.inheritable, "ip"),
            (self.permitted & !self.inheritable, "p"),
            (self.inheritable & !self.permitted, "i"),
        ] {
            if bits != 0 {
                write!(f, "{space}{}={effective}{sets}", list(bits))?;
                space = " ";
            }
        }
        if space.is_empty() { f.write_str("=") } else { Ok(()) }
    }
}

/// The bit of a name, of a number (what getcap prints for a capability it has no name for) or of `all`.
fn bits(name: &str) -> Result<u64, CapabilityError> {
    if name.eq_ignore_ascii_case("all") {
        return Ok(ALL);
    }
    let number = match NAMES.iter().position(|known| known.eq_ignore_ascii_case(name)) {
        Some(number) => Some(number as u32),
        None if name.bytes().all(|byte| byte.is_ascii_digit()) => name.parse().ok().filter(|number| *number < 64),
        None => None,
    };
    number.map(|number| 1 << number).ok_or_else(|| CapabilityError::UnknownName(name.to_string()))
}

fn list(bits: u64) -> String {
    let names = (0..64).filter(|number| bits & 1 << number != 0).map(|number| match NAMES.get(number) {
        Some(name) => name.to_string(),
        None => number.to_string(),
    });
    names.collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<String, String> {
        text.parse::<Capabilities>().map(|read| read.to_string()).map_err(|error| error.to_string())
    }

    #[test]
    fn the_value_is_the_one_that_setcap_writes() {
        // `setcap cap_net_raw+ep FILE; getfattr -e hex -n security.capability FILE`
        let bytes = "cap_net_raw+ep".parse::<Capabilities>().unwrap().to_bytes();
        assert_eq!(bytes, [1, 0, 0, 2, 0, 0x20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        let bytes = "cap_net_raw,cap_net_admin=eip cap_bpf=eip".parse::<Capabilities>().unwrap().to_bytes();
        assert_eq!(bytes, [1, 0, 0, 2, 0, 0x30, 0, 0, 0, 0x30, 0, 0, 0x80, 0, 0, 0, 0x80, 0, 0, 0]);
    }

    #[test]
    fn every_way_to_say_it_is_understood() {
        for (text, plain) in [
            ("cap_net_raw,cap_net_admin=eip", "cap_net_admin,cap_net_raw=eip"),
            ("CAP_NET_RAW+pe", "cap_net_raw=ep"),
            ("cap_net_raw=p+e", "cap_net_raw=ep"),
            ("cap_net_raw=eip cap_net_raw-i", "cap_net_raw=ep"),
            ("all=p cap_chown-p cap_chown+i", &format!("{}=p cap_chown=i", NAMES[1..].join(","))),
            ("=ep cap_chown=", &format!("{}=ep", NAMES[1..].join(","))),
            ("cap_kill=p\tcap_mknod=i", "cap_kill=p cap_mknod=i"),
            ("63=p", "63=p"),
        ] {
            assert_eq!(read(text).as_deref(), Ok(plain), "{text}");
            assert_eq!(read(plain).as_deref(), Ok(plain));
        }
    }

    #[test]
    fn what_setcap_would_refuse_is_refused_with_its_reason() {
        let form = |text: &str| format!("not capabilities in setcap's format (such as cap_net_raw=ep): {text:?}");
        for (text, message) in [
            ("cap_net_raw", form("cap_net_raw")),
            ("+ep", form("+ep")),
            ("cap_net_raw+", form("cap_net_raw+")),
            ("cap_net_rw=ep", "no such capability: \"cap_net_rw\"".into()),
            ("cap_net_raw,=ep", "no such capability: \"\"".into()),
            ("64=p", "no such capability: \"64\"".into()),
            ("cap_net_raw=ex", "a capability is `e`ffective, `i`nheritable or `p`ermitted, not 'x'".into()),
            ("", "the list of capabilities is empty".into()),
            ("=", "the list of capabilities is empty".into()),
            (
                "cap_net_raw=ep cap_chown=p",
                "a file has one effective bit for all its capabilities: set `e` for all of them or for none".into(),
            ),
            (
                "cap_net_raw=ep cap_chown=e",
                "effective without being permitted or inheritable has no effect: cap_chown".into(),
            ),
        ] {
            assert_eq!(read(text), Err(message), "{text}");
        }
    }

    #[test]
    fn bytes_come_back_and_a_namespace_owner_is_dropped() {
        for text in ["cap_net_raw=ep", "cap_chown,cap_checkpoint_restore=i", "all=eip"] {
            let capabilities: Capabilities = text.parse().unwrap();
            let mut bytes = capabilities.to_bytes().to_vec();
            assert_eq!(Capabilities::from_bytes(&bytes), Ok(capabilities));
            bytes[3] = 3;
            bytes.extend(1000_u32.to_le_bytes());
            assert_eq!(Capabilities::from_bytes(&bytes), Ok(capabilities));
            for wrong in [0, 1, 4, 20, 23, 28] {
                let mut wrong_length = bytes.clone();
                wrong_length.resize(wrong, 0);
                assert_eq!(Capabilities::from_bytes(&wrong_length), Err(CapabilityError::Bytes(wrong)), "{wrong}");
            }
        }
    }
}
