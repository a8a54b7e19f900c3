//! What a recipe says besides the tree: how a container starts, annotations, settings of the verifier, the initramfs.

use std::collections::BTreeMap;

use super::entries::{Folders, host_path, remote};
use super::fault::{Fault, Position};
use super::glob::Globs;
use super::model::{Allow, Bundle, Initramfs, Verify};
use super::section::{Placed, Section};
use super::values::{duration, size};
use crate::oci::values::{self, SettingFault};
use crate::oci::{Annotations, CONTAINERD_NAME, Changes, Healthcheck, REF_NAME};

/// `[config]`.
pub(crate) fn config(section: &Section<'_>) -> Changes {
    let words = |name| {
        let words = section.texts(name)?;
        if let Some(first) = words.first().filter(|word| word.value.is_empty()) {
            section
                .fault(Fault::new(&first.place, format!("the first word of `{name}` is empty: it must be a program")));
        }
        Some(words.into_iter().map(|word| word.value).collect::<Vec<_>>())
    };
    type Rule = fn(&str) -> Result<String, SettingFault>;
    let text = |name, rule: Rule| {
        let text = section.text(name)?;
        value(section, &text.place, rule(text.value))
    };
    let texts = |name, rule: Rule| {
        let texts = section.texts(name).unwrap_or_default();
        texts.iter().filter_map(|text| value(section, &text.place, rule(&text.value))).collect()
    };
    let mut env = BTreeMap::new();
    for (place, name, value) in section.map("env") {
        if name.is_empty() || name.contains('=') {
            let fault = Fault::new(place, format!("not a name of an environment variable: {name:?}"));
            section.fault(fault.help("it must not be empty or contain `=`"));
        }
        env.insert(name.to_string(), value.value.to_string());
    }
    Changes {
        user: text("user", values::user),
        env,
        entrypoint: words("entrypoint"),
        cmd: words("cmd"),
        workdir: text("workdir", values::directory),
        labels: labels(section, "labels"),
        expose: texts("expose", values::port),
        volumes: texts("volumes", values::volume),
        stop_signal: text("stop-signal", values::stop_signal),
        healthcheck: section.section("healthcheck").map(|section| healthcheck(&section)),
        shell: words("shell"),
    }
}

/// A value of the image's config, by the rules that flags follow too.
fn value<T>(section: &Section<'_>, place: &Position, value: Result<T, SettingFault>) -> Option<T> {
    value.map_err(|fault| section.fault(Fault::new(place, fault.message).help(fault.help))).ok()
}

fn labels(section: &Section<'_>, name: &'static str) -> BTreeMap<String, String> {
    let labels = section.map(name).into_iter().map(|(place, key, value)| {
        if key.is_empty() {
            section.fault(Fault::new(place, format!("a key of `{name}` is empty")));
        }
        (key.to_string(), value.value.to_string())
    });
    labels.collect()
}

fn healthcheck(section: &Section<'_>) -> Healthcheck {
    let test = section.texts("test").unwrap_or_default();
    if let Some(place) = section.key("test") {
        let words: Vec<&str> = test.iter().map(|word| word.value.as_str()).collect();
        if !matches!(words[..], ["NONE"] | ["CMD", _, ..] | ["CMD-SHELL", _]) {
            section.fault(
                Fault::new(place, "not a health check")
                    .help("write [\"CMD\", program, …], [\"CMD-SHELL\", line] or [\"NONE\"]"),
            );
        }
    }
    let time = |name| {
        let text = section.text(name)?;
        let time = duration(text.value);
        if time.is_none() {
            let fault = Fault::new(&text.place, format!("not a duration: {:?}", text.value));
            section.fault(fault.help("write a number with a unit: \"500ms\", \"30s\", \"5m\", \"1h\""));
        }
        time
    };
    Healthcheck {
        test: test.into_iter().map(|word| word.value).collect(),
        interval: time("interval").unwrap_or_default(),
        timeout: time("timeout").unwrap_or_default(),
        start_period: time("start-period").unwrap_or_default(),
        start_interval: time("start-interval").unwrap_or_default(),
        retries: section.number("retries").map_or(0, |number| number.value),
    }
}

/// `[annotations]`, which is a key of the recipe itself.
pub(crate) fn annotations(recipe: &Section<'_>) -> Annotations {
    for (place, name, _) in recipe.map("annotations") {
        if name == REF_NAME || name == CONTAINERD_NAME {
            let fault = Fault::new(place, format!("sazare sets this annotation from `name` and `tags`: {name}"));
            recipe.fault(fault.help("remove it"));
        }
    }
    labels(recipe, "annotations")
}

/// `[bundle]`.
pub(crate) fn bundle(section: &Section<'_>, folders: Folders<'_>) -> Option<Bundle> {
    let programs = section.texts("programs")?;
    if programs.is_empty() {
        section.fault(Fault::new(section.place(), "`programs` is empty"));
    }
    let texts = |name| section.texts(name).unwrap_or_default();
    let directory = |text: Placed<String>| {
        value(section, &text.place, values::directory(&text.value))?;
        section.reader.good(&text.place, text.value.parse())
    };
    let root = section.template("root");
    if let Some(root) = &root
        && let Some(rest) = root.value.as_str().strip_prefix("docker:")
    {
        remote(section, root, rest);
    }
    Some(Bundle {
        root: root.map(|root| host_path(folders, &root, root.value.as_str())),
        include: section.globs("include"),
        exclude: section.globs("exclude"),
        with: section.choices("with").unwrap_or_default().into_iter().collect(),
        directories: texts("directories").into_iter().filter_map(directory).collect(),
        install_to: section.image_template("install-to").map(|path| path.value),
        ..Bundle::new(section.origin(), programs.into_iter().map(|program| program.value))
    })
}

/// `[verify]`.
pub(crate) fn verify(section: &Section<'_>) -> Verify {
    let max_size = match (section.number("max-size"), section.text("max-size")) {
        (Some(number), _) => Some(number.value),
        (None, Some(text)) => {
            let bytes = size(text.value);
            if bytes.is_none() {
                let fault = Fault::new(&text.place, format!("not a size: {:?}", text.value));
                section.fault(fault.help("write a whole number with a unit: \"5 MB\", \"512 KiB\", \"1 GiB\""));
            }
            bytes
        }
        (None, None) => None,
    };
    Verify {
        r#static: section.flag("static").unwrap_or(false),
        libc: section.choice("libc"),
        max_size,
        allow: section.sections("allow").iter().filter_map(allow).collect(),
    }
}

fn allow(section: &Section<'_>) -> Option<Allow> {
    let paths = match section.text("path") {
        Some(text) => section.reader.good(&text.place, Globs::new([text.value])).unwrap_or_default(),
        None => Globs::default(),
    };
    let reason = section.text("reason").map(|text| text.value.to_string());
    let code = section.text("code")?;
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    if code.value.is_empty() || !code.value.bytes().all(plain) {
        let fault = Fault::new(&code.place, format!("not a code of a finding: {:?}", code.value));
        section.fault(fault.help("copy it from the report, such as \"lib-missing\""));
    }
    Some(Allow { origin: section.origin(), code: code.value.to_string(), paths, reason })
}

/// `[initramfs]`.
pub(crate) fn initramfs(section: &Section<'_>) -> Initramfs {
    Initramfs { init: section.image_path("init"), compression: section.choice("compression") }
}
