//! `sazare copy`.

use std::io::{BufWriter, Write};
use std::process::ExitCode;

use sazare::pipeline::{self, Copying};
use sazare::platform::Platform;
use sazare::render::{self, Text};
use sazare::transport::{Place, WriteOptions, Written};

use super::args::{CopyArgs, Format, Global};
use super::cache;
use super::console::Console;
use super::error::CliError;
use super::out::Out;
use super::registries::Reach;
use super::request;

/// Runs the verb.
pub fn run(args: &CopyArgs, global: &Global, console: &Console) -> Result<ExitCode, CliError> {
    if matches!(global.format, Format::Sarif | Format::Github) {
        return Err(CliError::usage("copy does not support this format", "use --format human or json"));
    }
    let (from, to) = places(args)?;
    let platforms: Vec<Platform> =
        request::platforms(&args.platform)?.into_iter().map(|(platform, _)| platform).collect();
    let private = request::private()?;
    let scratch = request::scratch(&private, global)?;
    let (reach, cache) = (Reach::new(&global.registries), cache::usual());
    #[cfg_attr(not(feature = "registry"), expect(unused_mut, reason = "there is nothing to set"))]
    let mut write = WriteOptions::default();
    #[cfg(feature = "registry")]
    {
        write.registries = Some(reach.registries.clone());
    }
    let copying = Copying {
        from: &from,
        to: &to,
        platforms: &platforms,
        access: reach.access(&scratch, cache.as_ref()),
        write: &write,
        temporary: private.path(),
    };
    let mut out = BufWriter::new(Out);
    let copied = pipeline::copy(&copying, &mut out, console)?;
    out.flush().map_err(|error| CliError::Output("standard output".into(), error))?;
    let mut text = Text::new();
    for written in &copied.written {
        if let Written::Image(image) = written {
            let names: Vec<&str> = image.names.iter().map(|(name, _)| name.as_str()).collect();
            text.line(format_args!("wrote {} ({})", image.place, names.join(", ")));
            image.notes.iter().for_each(|note| text.line(format_args!("note: {note}")));
        }
    }
    console.say(&text);
    // An archive on standard output is the result itself.
    if to.contains(&Place::Stdio) {
        return Ok(ExitCode::SUCCESS);
    }
    match global.format {
        Format::Json => console.result(&render::copied(&copied))?,
        _ => console.result(&format!("{}\n", copied.digest))?,
    }
    Ok(ExitCode::SUCCESS)
}

/// Where from and where to: the last place is the one to write, unless `--output` names others.
fn places(args: &CopyArgs) -> Result<(Vec<Place>, Vec<Place>), CliError> {
    let read = |texts: &[String]| texts.iter().map(|text| Place::for_reading(text)).collect::<Result<Vec<_>, _>>();
    let write = |texts: &[String]| texts.iter().map(|text| Place::for_writing(text)).collect::<Result<Vec<_>, _>>();
    let (from, to) = match args.places.split_last() {
        _ if !args.output.is_empty() => (read(&args.places)?, write(&args.output)?),
        Some((last, from)) if !from.is_empty() => (read(from)?, write(std::slice::from_ref(last))?),
        _ => {
            return Err(CliError::usage(
                "copy needs a place to read and a place to write",
                "add the place to write, such as docker://HOST/NAME:TAG, oci:DIR:TAG or FILE.tar",
            ));
        }
    };
    Ok((from, to))
}
