//! `sazare verify`.

use std::path::Path;
use std::process::ExitCode;

use sazare::input;
use sazare::link::{self, Allowance, Baseline, Policy};
use sazare::pipeline::{self, Verdict};
use sazare::platform::{Arch, Platform};
use sazare::recipe::Globs;
use sazare::render::{self, Text};
use sazare::replace;
use sazare::report::Report;
use sazare::transport::Place;

use super::args::{Format, Global, VerifyArgs};
use super::cache;
use super::console::Console;
use super::error::{CliError, REFUSED};
use super::registries::Reach;
use super::request;

/// Runs the verb.
pub fn run(verify: &VerifyArgs, global: &Global, console: &Console) -> Result<ExitCode, CliError> {
    if let Some(code) = &verify.explain {
        return explain(code, console);
    }
    let wanted: Vec<Platform> =
        request::platforms(&verify.platform)?.into_iter().map(|(platform, _)| platform).collect();
    let mut policy = Policy::default();
    policy.allow = allowances(&verify.allow)?;
    policy.baseline = baseline(verify.baseline.as_deref())?;
    policy.threads = request::jobs(None);
    let init = verify.init.parse().map_err(|error| CliError::Usage(format!("--init: {error}"), None))?;
    let private = request::private()?;
    let scratch = request::scratch(&private, global)?;
    let (reach, cache) = (Reach::new(&global.registries), cache::usual());
    let access = reach.access(&scratch, cache.as_ref());
    let mut verdicts = Vec::new();
    let mut portraits = Text::new();
    for text in &verify.place {
        if let Some(arch) = request::program(text)? {
            let platforms = if wanted.is_empty() { vec![Platform::new(arch)] } else { wanted.clone() };
            let judged = program(verify, text, &platforms, &policy, console)?;
            portraits.append(&judged.0);
            verdicts.extend(judged.1);
            continue;
        }
        let place = Place::for_reading(text)?;
        let seen = pipeline::read(&place, &wanted, &access, console)?;
        let platforms = pipeline::platforms_of(&place, &seen, &wanted, console)?;
        verdicts.extend(pipeline::verify(&seen, &platforms, &init, &policy, console)?);
    }
    let report = pipeline::merged(&verdicts);
    if let Some(file) = &verify.write_baseline {
        let found: Vec<_> = verdicts.iter().flat_map(|verdict| &verdict.verification.report.findings).collect();
        replace::write(file, Baseline::of(found.iter().copied()).to_string().as_bytes())
            .map_err(|error| CliError::Output(file.display().to_string(), error))?;
        console.say(&Text::of(format_args!("wrote {}: {} known findings", file.display(), found.len())));
        return Ok(ExitCode::SUCCESS);
    }
    if global.format == Format::Human {
        // What was asked for by its own name is described; of a whole tree there is a table.
        let table = if portraits.is_empty() { render::report::programs(&verdicts) } else { Text::new() };
        portraits.append(&human(&report, console));
        portraits.append(&table);
        console.print(&portraits)?;
    } else {
        console.result(&render(&report, &verdicts, global.format, console))?;
    }
    Ok(if report.refuses() { ExitCode::from(REFUSED) } else { ExitCode::SUCCESS })
}

/// Describes and verifies one program, inside the root that `--root` names, else among this machine's own libraries.
fn program(
    verify: &VerifyArgs,
    text: &str,
    platforms: &[Platform],
    policy: &Policy,
    console: &Console,
) -> Result<(Text, Vec<Verdict>), CliError> {
    let (root, path) = request::in_root(text, verify.root.as_deref())?;
    let mut portraits = Text::new();
    let mut verdicts = Vec::new();
    for platform in platforms {
        let (portrait, verdict) = pipeline::verify_program(&root, &path, platform, policy, console)?;
        portraits.append(&render::report::description(&portrait));
        verdicts.push(verdict);
    }
    Ok((portraits, verdicts))
}

fn explain(code: &str, console: &Console) -> Result<ExitCode, CliError> {
    match link::explain(code) {
        Some(page) => {
            console.print(&Text::page(page))?;
            Ok(ExitCode::SUCCESS)
        }
        None => {
            let codes: Vec<&str> = link::CODES.iter().map(|entry| entry.code.0).collect();
            Err(CliError::usage(format!("unknown code: {code}"), format!("codes are {}", codes.join(", "))))
        }
    }
}

/// What `--allow` accepts.
pub fn allowances(texts: &[String]) -> Result<Vec<Allowance>, CliError> {
    texts.iter().map(|text| allowance(text)).collect()
}

/// The findings that a file lists; none without a file.
pub fn baseline(file: Option<&Path>) -> Result<Baseline, CliError> {
    let Some(file) = file else { return Ok(Baseline::default()) };
    let read = input::read(file, input::TEXT_MAX).and_then(|bytes| {
        String::from_utf8(bytes).map_err(|_| std::io::Error::new(std::io::ErrorKind::InvalidData, "it is not UTF-8"))
    });
    match read {
        Ok(text) => Ok(Baseline::parse(&text)),
        Err(error) => Err(CliError::Input(file.display().to_string(), error)),
    }
}

fn allowance(text: &str) -> Result<Allowance, CliError> {
    let (code, glob) = text.split_once(':').unwrap_or((text, ""));
    if !link::CODES.iter().any(|entry| entry.code.0 == code) {
        return Err(CliError::usage(
            format!("--allow: unknown code: {code}"),
            "the code is in brackets in the report, such as error[lib-missing]",
        ));
    }
    if glob.is_empty() {
        return Ok(Allowance::new(code, "", None, |_| true));
    }
    let globs = Globs::new([glob]).map_err(|error| CliError::Usage(format!("--allow: {error}"), None))?;
    let matchers = Arch::ALL.map(|arch| globs.matcher(&Platform::new(arch)));
    Ok(Allowance::new(code, glob, None, move |path| matchers.iter().any(|matcher| matcher.covers(path))))
}

/// A report for people.
pub fn human(report: &Report, console: &Console) -> Text {
    render::report::human(report, render::report::Style { colour: console.colour(), verbose: console.verbose() })
}

/// A report in any form.
pub fn render(report: &Report, verdicts: &[Verdict], format: Format, console: &Console) -> String {
    match format {
        Format::Human => human(report, console).to_string(),
        Format::Json => render::report::json(report, verdicts),
        Format::Sarif => render::report::sarif(report),
        Format::Github => render::report::github(report),
    }
}
