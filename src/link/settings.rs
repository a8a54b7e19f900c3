//! Settings of an image config that engines refuse for any program, or accept and ignore. `tests/settings/record` records what
//! docker 20.10 and podman 4.3 with runc 1.1 do with each.

use crate::oci::Settings;
use crate::oci::values::{self, ID_MAX};
use crate::path::ImagePath;
use crate::report::{Code, FindingSubject};
use crate::tree::Errno;

use super::draft::{Draft, PlainDraft};
use super::files::Files;
use super::user::ProcessUser;

/// The path cannot be a working directory.
pub const WORKDIR_INVALID: Code = Code("workdir-invalid");
/// A volume cannot be mounted.
pub const VOLUME_INVALID: Code = Code("volume-invalid");
/// An exposed port is not a port.
pub const PORT_INVALID: Code = Code("port-invalid");
/// The stop signal is not a signal.
pub const STOP_SIGNAL_INVALID: Code = Code("stop-signal-invalid");
/// The number of a user or group is too large.
pub const USER_ID_INVALID: Code = Code("user-id-invalid");
/// An environment variable has no name.
pub const ENV_INVALID: Code = Code("env-invalid");
/// A search path contains a variable, which no engine replaces.
pub const ENV_NOT_EXPANDED: Code = Code("env-not-expanded");
/// The health check has a form that no engine runs.
pub const HEALTHCHECK_INVALID: Code = Code("healthcheck-invalid");
/// More layers than docker accepts.
pub const LAYERS_TOO_MANY: Code = Code("layers-too-many");

/// The most layers that docker accepts (`max depth exceeded`).
pub const LAYERS_MAX: usize = 125;

/// What is wrong with the settings of an image with this many layers.
pub(super) fn check(settings: &Settings, user: &ProcessUser, layers: usize, files: &Files<'_>) -> Vec<PlainDraft> {
    let mut faults = Faults { files, drafts: Vec::new() };
    faults.workdir(&settings.workdir);
    settings.volumes.iter().for_each(|volume| faults.volume(volume));
    faults.user(user);
    faults.environment(&settings.env);
    faults.ignored(settings);
    if layers > LAYERS_MAX {
        let draft = Draft::error(LAYERS_TOO_MANY, format!("are {layers}; docker takes {LAYERS_MAX} at most"))
            .says("max depth exceeded")
            .fix("put the files of several layers into one");
        faults.add("layers", draft);
    }
    faults.drafts
}

struct Faults<'a> {
    files: &'a Files<'a>,
    drafts: Vec<PlainDraft>,
}

/// What is at a path at which a container needs a directory.
enum At {
    /// A directory, or nothing: engines make one.
    Fine,
    /// Something else, at this path or at one of its parents.
    Other(String, &'static str),
    /// A dangling link.
    Dangling(String),
}

impl Faults<'_> {
    fn add(&mut self, setting: &str, draft: Draft) {
        self.drafts.push(PlainDraft::new(FindingSubject::Setting(setting.to_string()), draft));
    }

    fn at(&self, path: &str) -> At {
        match self.files.find(&ImagePath::root(), path.as_bytes()) {
            Ok(found) if self.files.tree.inode(found.id).is_directory() => At::Fine,
            Ok(found) => At::Other(found.path.to_string(), "is not a directory"),
            Err(error) if error.errno == Errno::NotADirectory => {
                At::Other(error.at.to_string(), "is not a directory, and is on the way")
            }
            Err(error) if self.files.is_dangling(&error) => At::Dangling(self.files.words_of(&error)),
            Err(_) => At::Fine,
        }
    }

    fn workdir(&mut self, text: &str) {
        if text.is_empty() {
            return;
        }
        if !text.starts_with('/') {
            let draft = Draft::error(WORKDIR_INVALID, format!("is not an absolute path: {text:?}"))
                .says("Cwd must be an absolute path")
                .fix("start it with `/`");
            return self.add("workdir", draft);
        }
        let draft = match self.at(text) {
            At::Fine => return,
            At::Other(path, what) => Draft::error(WORKDIR_INVALID, format!("cannot be {text}: {path} {what}"))
                .says(format!("Cannot mkdir: {text} is not a directory"))
                .fix("name a directory; engines make one that is absent"),
            At::Dangling(words) => Draft::warning(
                WORKDIR_INVALID,
                format!("is {text}, a link that leads nowhere: docker makes its target"),
            )
            .because(text, words)
            .says(format!("podman: mkdir {text}: file exists"))
            .fix("add the target of the link, or name a directory"),
        };
        self.add("workdir", draft);
    }

    fn volume(&mut self, text: &str) {
        let draft = if text.is_empty() {
            Draft::warning(VOLUME_INVALID, "have one without a path, which docker mounts at the root")
                .fix("name a directory below `/`")
        } else if text.starts_with('/') && values::is_root(text) {
            Draft::error(VOLUME_INVALID, format!("have one at the root: {text}; it hides all files of the image"))
                .fix("name a directory below `/`")
        } else {
            match self.at(text) {
                At::Other(path, what) if text.starts_with('/') => {
                    Draft::error(VOLUME_INVALID, format!("have one at {text}, but {path} {what}"))
                        .says(format!("cannot mount volume over existing file, file exists {path}"))
                        .fix("name a directory; a volume cannot be a single file")
                }
                At::Other(..) | At::Dangling(_) | At::Fine => return,
            }
        };
        self.add("volumes", draft);
    }

    fn user(&mut self, user: &ProcessUser) {
        if let Some(id) = [user.uid].iter().chain(&user.gids).find(|id| **id > ID_MAX) {
            let draft = Draft::error(USER_ID_INVALID, format!("has the number {id}; runc takes {ID_MAX} at most"))
                .says("uids and gids must be in range 0-2147483647")
                .fix("give the user and its groups smaller numbers");
            self.add("user", draft);
        }
    }

    fn environment(&mut self, env: &[(String, String)]) {
        for (_, value) in env.iter().filter(|(name, _)| name.is_empty()) {
            let shown = if value.is_empty() { String::new() } else { format!("={value}") };
            let draft = if value.is_empty() {
                Draft::warning(ENV_INVALID, "has an empty entry, which podman refuses")
            } else {
                Draft::error(ENV_INVALID, format!("has an entry without a name: {shown:?}"))
            };
            let draft = draft.says(format!("invalid environment variable: {shown:?}")).fix("remove the entry");
            self.add("env", draft);
        }
        for (name, value) in env.iter().filter(|(name, _)| matches!(name.as_str(), "PATH" | "LD_LIBRARY_PATH")) {
            let Some(entry) = value.split([':', ';']).find(|entry| has_variable(name, entry)) else { continue };
            let draft = Draft::warning(ENV_NOT_EXPANDED, format!("contains {entry}, which no engine replaces"))
                .because(name.clone(), "no shell reads the value: the directory is searched by this very name")
                .fix("write the directories out");
            self.add(name, draft);
        }
    }

    /// Settings that all engines, or one of them, accept and ignore.
    fn ignored(&mut self, settings: &Settings) {
        for port in settings.expose.iter().filter(|port| !is_exposable(port)) {
            let draft = Draft::warning(PORT_INVALID, format!("has {port:?}, which is not a port; engines ignore it"))
                .fix("write a number from 1 to 65535, with /tcp, /udp or /sctp");
            self.add("expose", draft);
        }
        let signal = settings.stop_signal.as_str();
        if !signal.is_empty() && !signal.starts_with('-') && values::stop_signal(&signal.to_uppercase()).is_err() {
            let draft =
                Draft::warning(STOP_SIGNAL_INVALID, format!("is {signal:?}, a signal that Linux does not have"))
                    .says(format!("podman: invalid signal: {signal}"))
                    .fix("write a name such as SIGTERM, or a number from 1 to 64");
            self.add("stop-signal", draft);
        }
        let test = settings.healthcheck.as_ref().map(|check| check.test.as_slice()).unwrap_or_default();
        let test: Vec<&str> = test.iter().map(String::as_str).collect();
        if !matches!(test[..], [] | ["NONE"] | ["CMD", _, ..] | ["CMD-SHELL", _, ..]) {
            let draft = Draft::warning(HEALTHCHECK_INVALID, format!("is {test:?}, which docker does not run"))
                .fix("write [\"CMD\", program, …] or [\"CMD-SHELL\", line]");
            self.add("healthcheck", draft);
        }
    }
}

/// Whether an entry of a search path contains a variable that the author expects to be replaced. Loaders replace three themselves
/// (ld.so(8)).
fn has_variable(name: &str, entry: &str) -> bool {
    let tokens = ["ORIGIN", "LIB", "PLATFORM"];
    entry.split('$').skip(1).any(|rest| {
        let word = rest.strip_prefix('{').and_then(|rest| rest.split_once('}')).map_or(rest, |(word, _)| word);
        let word = word.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_').next();
        let word = word.unwrap_or_default();
        let replaced = name == "LD_LIBRARY_PATH" && tokens.contains(&word);
        !word.is_empty() && !replaced
    })
}

/// A port, or a range of ports, as engines read it from a config.
fn is_exposable(text: &str) -> bool {
    let (numbers, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
    let (first, last) = numbers.split_once('-').unwrap_or((numbers, numbers));
    let number = |text: &str| text.parse::<u16>().ok().filter(|number| *number > 0);
    number(first).zip(number(last)).is_some_and(|(first, last)| first <= last)
        && ["tcp", "udp", "sctp"].contains(&protocol.to_lowercase().as_str())
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::link::sample::Sample;
    use crate::link::{Policy, Purpose, Subject, verify};
    use crate::platform::{Arch, Platform};
    use crate::report::Severity;

    /// The tree that every recorded image has.
    fn sample() -> Sample {
        Sample::new()
            .elf("/bin/busybox", &crate::elf::forge::Forge::program())
            .link("/bin/true", "busybox")
            .link("/bin/sh", "busybox")
            .text("/etc/passwd", 0o644, "root:x:0:0::/:/bin/sh\n")
            .text("/etc/group", 0o644, "root:x:0:\n")
            .link("/link-to-file", "etc/passwd")
            .link("/link-to-directory", "etc")
            .link("/dangling", "nowhere")
    }

    /// The highest severity of the findings about an image with this config.
    fn worst(config: &Value) -> Option<Severity> {
        let mut config = config.as_object().unwrap().clone();
        let layers = config.remove("layers").and_then(|layers| layers.as_u64()).unwrap_or(1);
        config.entry("Cmd").or_insert(serde_json::json!(["/bin/true"]));
        let (platform, policy, sample) = (Platform::new(Arch::Amd64), Policy::default(), sample());
        let report = verify(&Subject {
            settings: Some(&Settings::read(&config)),
            layers: usize::try_from(layers).unwrap(),
            ..Subject::new(&sample.tree, &platform, Purpose::Container, &policy)
        });
        report.unwrap().report.findings.iter().map(|finding| finding.severity).max()
    }

    /// An error if both engines refuse it, or docker does not load the image at all; a warning if only one of them refuses it.
    #[test]
    fn what_engines_refuse_is_found_and_nothing_else() {
        let text = include_str!("../../tests/settings/recorded.json");
        let rows: Vec<Value> = serde_json::from_str(text).unwrap();
        assert!(rows.len() > 75, "{}", rows.len());
        // What engines take and ignore, and a path that works as far as it is needed.
        let ignored = [
            "path-dollar-behind",
            "port-range-back",
            "port-word",
            "port-protocol",
            "port-large",
            "port-zero",
            "port-negative",
            "port-empty",
            "healthcheck-unknown",
            "healthcheck-bare",
        ];
        for row in &rows {
            let name = row["name"].as_str().unwrap();
            let starts = |engine: &str| row[engine]["exit"] == 0;
            let expected = match (starts("docker"), starts("podman")) {
                (true, true) => ignored.contains(&name).then_some(Severity::Warning),
                (false, true) if row["docker"]["loads"] == false => Some(Severity::Error),
                (false, true) | (true, false) => Some(Severity::Warning),
                (false, false) => Some(Severity::Error),
            };
            assert_eq!(worst(&row["config"]), expected, "{name}");
        }
    }

    #[test]
    fn variables_are_those_that_nobody_replaces() {
        for (name, entry, expected) in [
            ("PATH", "$PATH", true),
            ("PATH", "${HOME}/bin", true),
            ("PATH", "/opt/$x", true),
            ("PATH", "/opt/$", false),
            ("PATH", "/opt/a$/b", false),
            ("PATH", "$ORIGIN", true),
            ("LD_LIBRARY_PATH", "$ORIGIN/../lib", false),
            ("LD_LIBRARY_PATH", "/usr/${LIB}", false),
            ("LD_LIBRARY_PATH", "${ORIGIN}/$LD_LIBRARY_PATH", true),
        ] {
            assert_eq!(has_variable(name, entry), expected, "{name}={entry}");
        }
    }
}
