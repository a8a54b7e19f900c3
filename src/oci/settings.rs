//! How a container of the image is started: the `config` object of an image config.
//!
//! Keys: image-spec, config.md, "config"; `Healthcheck` and `Shell` are Docker's and reserved there.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

/// The search path that runc and crun use when the image sets none.
pub const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// The settings that this program understands. Empty stands for absent, which engines treat alike.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Settings {
    /// `user`, `uid`, `user:group` or `uid:gid`.
    pub user: String,
    /// Environment, in order.
    pub env: Vec<(String, String)>,
    /// First words of the command line.
    pub entrypoint: Vec<String>,
    /// Further words, which `docker run IMAGE …` replaces.
    pub cmd: Vec<String>,
    /// Working directory.
    pub workdir: String,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// Ports, such as `80/tcp`.
    pub expose: BTreeSet<String>,
    /// Mount points of volumes.
    pub volumes: BTreeSet<String>,
    /// Signal that stops the container.
    pub stop_signal: String,
    /// Health check.
    pub healthcheck: Option<Healthcheck>,
    /// The shell of the shell form.
    pub shell: Vec<String>,
}

/// Docker's health check. Times are nanoseconds, 0 for the engine's default.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Healthcheck {
    /// `["NONE"]`, `["CMD", …]` or `["CMD-SHELL", line]`.
    pub test: Vec<String>,
    /// Time between two checks.
    pub interval: u64,
    /// When a check counts as failed.
    pub timeout: u64,
    /// Time to start up in which failures do not count.
    pub start_period: u64,
    /// Time between two checks while starting.
    pub start_interval: u64,
    /// How many failures in a row make it unhealthy.
    pub retries: u64,
}

/// What a recipe says about the settings; `None` keeps what the base says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Changes {
    /// Replaces the user.
    pub user: Option<String>,
    /// Set or replaced one by one.
    pub env: BTreeMap<String, String>,
    /// Replaces the entry point, and takes away a command that was meant for the old one.
    pub entrypoint: Option<Vec<String>>,
    /// Replaces the command.
    pub cmd: Option<Vec<String>>,
    /// Replaces the working directory.
    pub workdir: Option<String>,
    /// Set or replaced one by one.
    pub labels: BTreeMap<String, String>,
    /// Added.
    pub expose: BTreeSet<String>,
    /// Added.
    pub volumes: BTreeSet<String>,
    /// Replaces the stop signal.
    pub stop_signal: Option<String>,
    /// Replaces the health check.
    pub healthcheck: Option<Healthcheck>,
    /// Replaces the shell.
    pub shell: Option<Vec<String>>,
}

impl Settings {
    /// Reads a `config` object. What has another type than it should is treated as absent: engines do the same.
    pub fn read(config: &Map<String, Value>) -> Settings {
        let text = |key: &str| config.get(key).and_then(Value::as_str).unwrap_or_default().to_string();
        let keys = |key: &str| match config.get(key) {
            Some(Value::Object(map)) => map.keys().cloned().collect(),
            _ => BTreeSet::new(),
        };
        Settings {
            user: text("User"),
            env: words(config.get("Env"))
                .into_iter()
                .map(|line| match line.split_once('=') {
                    Some((name, value)) => (name.to_string(), value.to_string()),
                    None => (line, String::new()),
                })
                .collect(),
            entrypoint: words(config.get("Entrypoint")),
            cmd: words(config.get("Cmd")),
            workdir: text("WorkingDir"),
            labels: match config.get("Labels") {
                Some(Value::Object(map)) => {
                    map.iter().filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_string()))).collect()
                }
                _ => BTreeMap::new(),
            },
            expose: keys("ExposedPorts"),
            volumes: keys("Volumes"),
            stop_signal: text("StopSignal"),
            healthcheck: config.get("Healthcheck").and_then(Value::as_object).map(Healthcheck::read),
            shell: words(config.get("Shell")),
        }
    }

    /// Writes the settings into a `config` object, leaving every key alone that this program does not know.
    pub fn write(&self, config: &mut Map<String, Value>) {
        let set = |config: &mut Map<String, Value>, key: &str, empty: bool, value: Value| {
            if empty {
                config.remove(key);
            } else {
                config.insert(key.to_string(), value);
            }
        };
        let keys = |set: &BTreeSet<String>| {
            Value::Object(set.iter().map(|key| (key.clone(), json!({}))).collect::<Map<_, _>>())
        };
        let env: Vec<String> = self.env.iter().map(|(name, value)| format!("{name}={value}")).collect();
        set(config, "User", self.user.is_empty(), json!(self.user));
        set(config, "Env", self.env.is_empty(), json!(env));
        set(config, "Entrypoint", self.entrypoint.is_empty(), json!(self.entrypoint));
        set(config, "Cmd", self.cmd.is_empty(), json!(self.cmd));
        set(config, "WorkingDir", self.workdir.is_empty(), json!(self.workdir));
        set(config, "Labels", self.labels.is_empty(), json!(self.labels));
        set(config, "ExposedPorts", self.expose.is_empty(), keys(&self.expose));
        set(config, "Volumes", self.volumes.is_empty(), keys(&self.volumes));
        set(config, "StopSignal", self.stop_signal.is_empty(), json!(self.stop_signal));
        set(config, "Shell", self.shell.is_empty(), json!(self.shell));
        match &self.healthcheck {
            Some(check) => set(config, "Healthcheck", false, check.write()),
            None => set(config, "Healthcheck", true, Value::Null),
        }
    }

    /// The settings after a recipe's changes, by the rules of a Dockerfile with a `FROM` line.
    pub fn changed(&self, changes: &Changes) -> Settings {
        let mut settings = self.clone();
        let replace = |old: &mut String, new: &Option<String>| {
            if let Some(new) = new {
                *old = new.clone();
            }
        };
        replace(&mut settings.user, &changes.user);
        replace(&mut settings.workdir, &changes.workdir);
        replace(&mut settings.stop_signal, &changes.stop_signal);
        for (name, value) in &changes.env {
            match settings.env.iter_mut().find(|(known, _)| known == name) {
                Some((_, old)) => *old = value.clone(),
                None => settings.env.push((name.clone(), value.clone())),
            }
        }
        if let Some(entrypoint) = &changes.entrypoint {
            settings.entrypoint = entrypoint.clone();
            if !self.entrypoint.is_empty() || !entrypoint.is_empty() {
                settings.cmd = Vec::new();
            }
        }
        if let Some(cmd) = &changes.cmd {
            settings.cmd = cmd.clone();
        }
        settings.labels.extend(changes.labels.clone());
        settings.expose.extend(changes.expose.clone());
        settings.volumes.extend(changes.volumes.clone());
        if let Some(healthcheck) = &changes.healthcheck {
            settings.healthcheck = Some(healthcheck.clone());
        }
        if let Some(shell) = &changes.shell {
            settings.shell = shell.clone();
        }
        settings
    }

    /// The value of an environment variable.
    pub fn env(&self, name: &str) -> Option<&str> {
        self.env.iter().rev().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

impl Healthcheck {
    fn read(object: &Map<String, Value>) -> Healthcheck {
        let number = |key: &str| object.get(key).and_then(Value::as_u64).unwrap_or_default();
        Healthcheck {
            test: words(object.get("Test")),
            interval: number("Interval"),
            timeout: number("Timeout"),
            start_period: number("StartPeriod"),
            start_interval: number("StartInterval"),
            retries: number("Retries"),
        }
    }

    fn write(&self) -> Value {
        let mut object = Map::new();
        object.insert("Test".into(), json!(self.test));
        let numbers = [
            ("Interval", self.interval),
            ("Timeout", self.timeout),
            ("StartPeriod", self.start_period),
            ("StartInterval", self.start_interval),
            ("Retries", self.retries),
        ];
        for (key, number) in numbers {
            if number > 0 {
                object.insert(key.into(), json!(number));
            }
        }
        Value::Object(object)
    }
}

fn words(value: Option<&Value>) -> Vec<String> {
    let strings = |list: &Vec<Value>| list.iter().filter_map(|word| word.as_str().map(str::to_string)).collect();
    value.and_then(Value::as_array).map(strings).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(value: Value) -> Map<String, Value> {
        value.as_object().cloned().unwrap()
    }

    #[test]
    fn what_we_do_not_know_stays() {
        let mut config = object(json!({
            "Env": ["PATH=/bin", "A=b=c"], "OnBuild": ["RUN x"], "Cmd": ["/bin/sh"],
            "Healthcheck": {"Test": ["CMD", "/ok"], "Retries": 3}, "ExposedPorts": {"80/tcp": {}},
        }));
        let before = config.clone();
        Settings::read(&config).write(&mut config);
        assert_eq!(config, before);
    }

    #[test]
    fn a_new_entry_point_takes_the_old_command_away() {
        let base = Settings { entrypoint: vec!["/old".into()], cmd: vec!["x".into()], ..Settings::default() };
        let changes = Changes { entrypoint: Some(vec!["/new".into()]), ..Changes::default() };
        assert_eq!(base.changed(&changes).cmd, Vec::<String>::new());
        assert_eq!(base.changed(&Changes::default()), base);
    }

    #[test]
    fn environment_is_merged_by_name() {
        let base =
            Settings { env: vec![("PATH".into(), "/bin".into()), ("A".into(), "1".into())], ..Settings::default() };
        let env = BTreeMap::from([("A".to_string(), "2".to_string()), ("B".to_string(), "3".to_string())]);
        let changed = base.changed(&Changes { env, ..Changes::default() });
        let lines: Vec<String> = changed.env.iter().map(|(name, value)| format!("{name}={value}")).collect();
        assert_eq!(lines, ["PATH=/bin", "A=2", "B=3"]);
        assert_eq!(changed.env("A"), Some("2"));
    }
}
