//! `sazare doctor`: what this machine allows, found out by doing it.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use sazare::bundle::trace::{Run, TraceError, trace};
use sazare::codec::Scratch;
use sazare::codec::dir::{ScanOptions, scan};
use sazare::elf::smallest_program;
use sazare::oci::Settings;
use sazare::platform::{Arch, Platform};
use sazare::render;
use sazare::render::trial::{Ability, Requirement};
use sazare::replace;
use sazare::trial::{Ended, Machine, Method, Trial, attempt, probe};

use super::args::{Format, Global};
use super::console::Console;
use super::error::CliError;
use super::request;

/// The name of the program that is run.
const PROGRAM: &str = "program";

/// How long it may take, emulators included.
const LIMIT: Duration = Duration::from_secs(20);

/// Runs the verb.
pub fn run(global: &Global, console: &Console) -> Result<ExitCode, CliError> {
    let private = request::private()?;
    let folder = private.path();
    let machine = request::machine();
    let here = Machine::arch();
    let mut abilities = Vec::new();
    // This machine's own programs first.
    let mut archs = Arch::ALL;
    archs.sort_by_key(|arch| Some(*arch) != here);
    for arch in archs {
        // Without an emulator every method has the same answer.
        let root = folder.join(arch.facts().oci);
        make_root(&root, arch).map_err(|error| CliError::Output(root.display().to_string(), error))?;
        let runs = here == Some(arch) || machine.emulator(arch).is_some();
        for method in Method::ALL.into_iter().take(if runs { Method::ALL.len() } else { 1 }) {
            let private = folder.join(format!("private-{}-{}", arch.facts().oci, method.word()));
            let result = try_program(&root, &private, arch, method, &machine);
            abilities.push(Ability { method, platform: Platform::new(arch).to_string(), result });
        }
    }
    let needs = needs(folder, here);
    match global.format {
        Format::Human => console.print(&render::trial::doctor(&abilities, &needs))?,
        Format::Json => console.result(&render::trial::doctor_json(&abilities, &needs))?,
        Format::Sarif | Format::Github => {
            return Err(CliError::usage("doctor does not support this format", "use --format human or json"));
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// A root with the smallest program of an architecture.
fn make_root(root: &Path, arch: Arch) -> std::io::Result<()> {
    fs::create_dir(root)?;
    let program = root.join(PROGRAM);
    replace::write(&program, &smallest_program(arch))?;
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755))
}

/// Runs the smallest program of an architecture with one method.
fn try_program(root: &Path, private: &Path, arch: Arch, method: Method, machine: &Machine) -> Result<(), String> {
    probe(method).map_err(|refusal| refusal.reason)?;
    fs::create_dir(private).map_err(|error| error.to_string())?;
    let tree = scan(root, &ScanOptions { xattrs: false, ..ScanOptions::ALL }).map_err(|error| error.to_string())?.tree;
    let trial = Trial {
        tree: &tree,
        platform: &Platform::new(arch),
        settings: Settings::default(),
        command: vec![format!("/{PROGRAM}").into_bytes()],
        input: None,
        catch: None,
        limit: Some(LIMIT),
        methods: &[method],
        trusted: true,
        network: false,
        machine,
    };
    match attempt(&trial, private) {
        Ok(outcome) if outcome.ended == Ended::Status(0) => Ok(()),
        Ok(outcome) => Err(format!("a program {}", render::trial::ended(&outcome.ended))),
        Err(error) => Err(match error {
            sazare::trial::TrialError::NoMethod { refused, .. } if !refused.is_empty() => refused[0].reason.clone(),
            other => other.to_string(),
        }),
    }
}

/// What the other verbs need. Building needs a folder and nothing else.
fn needs(folder: &Path, here: Option<Arch>) -> Vec<Requirement> {
    let temporary = Scratch::new(folder).file().map(drop).map_err(|error| error.to_string());
    let traced = match here {
        Some(arch) => watch(&folder.join(arch.facts().oci).join(PROGRAM)),
        None => Err("there is no example program for this architecture".into()),
    };
    let verbs = "build, verify, inspect, bundle, generate";
    vec![
        Requirement { what: "a directory for temporary files", verbs, result: temporary },
        Requirement { what: "to trace a program (ptrace)", verbs: "bundle --trace", result: traced },
    ]
}

/// Traces a program.
fn watch(program: &Path) -> Result<(), String> {
    let folder = Path::new("/");
    let run = Run { program, arguments: &[], environment: &[], folder, stdin: None, limit: LIMIT, shown: false };
    match trace(&run) {
        Ok(_) => Ok(()),
        // Its whole message would say what the line says already.
        Err(TraceError::Forbidden(error)) => Err(error.to_string()),
        Err(error) => Err(error.to_string()),
    }
}
