//! `sazare inspect`.

use std::process::ExitCode;

use sazare::path::ImagePath;
use sazare::pipeline::{self, PlaceContents};
use sazare::platform::Platform;
use sazare::transport::Place;
use sazare::{inspect, render};

use super::args::{Format, Global, InspectArgs};
use super::cache;
use super::console::Console;
use super::error::CliError;
use super::registries::Reach;
use super::request;

/// Runs the verb.
pub fn run(args: &InspectArgs, global: &Global, console: &Console) -> Result<ExitCode, CliError> {
    let wanted: Vec<Platform> = request::platforms(&args.platform)?.into_iter().map(|(platform, _)| platform).collect();
    let private = request::private()?;
    let scratch = request::scratch(&private, global)?;
    let (reach, cache) = (Reach::new(&global.registries), cache::usual());
    let access = reach.access(&scratch, cache.as_ref());
    let place = Place::for_reading(&args.place)?;
    let seen = pipeline::read(&place, &wanted, &access, console)?;
    if let Some(path) = &args.why {
        return why(path, &args.place, &seen, global, console);
    }
    let image = match &seen {
        PlaceContents::Image(image, _) => Some(image),
        PlaceContents::Root(_) | PlaceContents::Initramfs(_) => None,
    };
    let mut platforms = Vec::new();
    for (image, tree) in seen.trees() {
        let by_programs = match image {
            Some(_) => None,
            None => pipeline::agreed_platform(tree)?,
        };
        platforms.push(inspect::summarise(image, by_programs.as_ref(), tree, args.files));
    }
    let summary = inspect::summary(&place.to_string(), image, platforms);
    match global.format {
        Format::Human => console.print(&render::inspect::human(&summary))?,
        Format::Json => console.result(&render::inspect::json(&summary))?,
        Format::Sarif | Format::Github => {
            return Err(CliError::usage("inspect does not support this format", "use --format human or json"));
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Prints why a path is there.
fn why(
    text: &str,
    place: &str,
    seen: &PlaceContents,
    global: &Global,
    console: &Console,
) -> Result<ExitCode, CliError> {
    let path: ImagePath = text.parse().map_err(|error| CliError::Usage(format!("--why: {error}"), None))?;
    let answers = pipeline::why(seen, &path)?;
    if answers.is_empty() {
        let error = std::io::Error::from(std::io::ErrorKind::NotFound);
        return Err(CliError::Input(format!("{path} in {place}"), error));
    }
    match global.format {
        Format::Human => console.print(&render::why(&path.to_string(), &answers))?,
        Format::Json => console.result(&render::why_json(&path.to_string(), &answers))?,
        Format::Sarif | Format::Github => {
            return Err(CliError::usage("inspect does not support this format", "use --format human or json"));
        }
    }
    Ok(ExitCode::SUCCESS)
}
