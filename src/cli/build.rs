//! `sazare build`.

use std::fmt::Write as _;
use std::path::Path;
use std::process::ExitCode;

use sazare::image::{LayerOptions, Staging};
use sazare::pipeline::{self, BuildError, Built, Initramfs, Outcome, Verdict};
use sazare::reference::Tag;
use sazare::render;
use sazare::transport::{Archived, Place, WriteOptions};

use super::args::{Build, Format, Global};
use super::console::Console;
use super::request;
use super::trouble::{REFUSED, Trouble};
use super::verify;

/// The files of the example, relative to its folder.
const EXAMPLE: [(&str, &[u8]); 3] = [
    ("recipe.toml", include_bytes!("../../images/hello/recipe.toml")),
    ("amd64/bin/hello", include_bytes!("../../images/hello/amd64/bin/hello")),
    ("arm64/bin/hello", include_bytes!("../../images/hello/arm64/bin/hello")),
];

/// Runs the verb.
pub fn run(build: &Build, global: &Global, console: &Console) -> Result<ExitCode, Trouble> {
    if build.example {
        let folder = example().map_err(|error| Trouble::Build(BuildError::Store(error)))?;
        return run_recipe(build, Some(&folder.scratch_folder()), global, console);
    }
    run_recipe(build, build.what.as_deref(), global, console)
}

fn run_recipe(build: &Build, what: Option<&Path>, global: &Global, console: &Console) -> Result<ExitCode, Trouble> {
    let wanted = request::platforms(&build.platform)?;
    let recipe = request::recipe(build, what, &wanted)?;
    let places: Vec<Place> = build.output.iter().map(|text| Place::for_writing(text)).collect::<Result<_, _>>()?;
    let (archives, places): (Vec<Place>, Vec<Place>) =
        places.into_iter().partition(|place| matches!(place, Place::Cpio(_)));
    let name = recipe.name.clone().or_else(|| request::fallback_name(what));
    let asked = pipeline::Build {
        recipe: &recipe,
        platforms: &recipe.platforms,
        name: name.clone(),
        tags: recipe.tags.clone(),
        when: request::when(&recipe)?,
        places: &places,
        temporary: &request::temporary(),
        layers: LayerOptions { compression: request::compression(build)?, jobs: request::jobs(build.jobs) },
        write: WriteOptions { flat_index: build.flat_index, docker_platform: build.docker_platform.clone() },
        allow: &verify::allowances(&build.allow)?,
        baseline: &verify::baseline(build.baseline.as_deref())?,
    };
    let mut verdicts = Vec::new();
    let mut judged = None;
    if !archives.is_empty() {
        match pipeline::initramfs(&pipeline::Build { places: &archives, ..asked.clone() }, console)? {
            Initramfs::Refused(verdicts) => return refused(&verdicts, global, console),
            Initramfs::Judged(archives) => judged = Some(archives),
        }
    }
    let mut built = None;
    if !places.is_empty() {
        match pipeline::build(&asked, &mut std::io::stdout().lock(), console)? {
            Outcome::Refused(verdicts) => return refused(&verdicts, global, console),
            Outcome::Built(mut image) => {
                verdicts.append(&mut image.verdicts);
                built = Some(image);
            }
        }
    }
    // Only now: nothing is written when any of the outputs is refused.
    let mut archived = Vec::new();
    if let Some(mut judged) = judged {
        archived = judged.write(console)?;
        verdicts.append(&mut judged.verdicts);
    }
    let report = verify::merged(&verdicts);
    if !report.findings.is_empty() {
        console.say(&verify::human(&report, console));
    }
    let metadata = render::built(built.as_deref(), &archived, &recipe.platforms, request::compression(build)?);
    if let Some(file) = &build.metadata_file {
        std::fs::write(file, &metadata).map_err(|error| Trouble::Output(file.display().to_string(), error))?;
    }
    let tag = recipe.tags.first().cloned().unwrap_or_else(Tag::latest);
    if let Some(built) = &built {
        console.say(&summary(built, &places, name.map(|name| name.familiar(&tag)), build.flat_index));
    }
    console.say(&archives_summary(&archived));
    // An archive on standard output is the result itself.
    if !places.contains(&Place::Stdio) {
        match global.format {
            Format::Human => {
                let image = built.iter().map(|built| format!("{}\n", built.digest));
                let files = archived.iter().map(|one| format!("{}  {}\n", one.digest, one.file.display()));
                console.result(&image.chain(files).collect::<String>())?;
            }
            Format::Json | Format::Sarif | Format::Github => console.result(&metadata)?,
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Tells why nothing was written.
fn refused(verdicts: &[Verdict], global: &Global, console: &Console) -> Result<ExitCode, Trouble> {
    let report = verify::merged(verdicts);
    match global.format {
        Format::Human => console.tell(&verify::human(&report, console)),
        format => console.result(&verify::render(&report, verdicts, format, console))?,
    }
    console.tell("refused: nothing was written\n");
    Ok(ExitCode::from(REFUSED))
}

/// Which archives were made, and how one is booted.
fn archives_summary(archives: &[Archived]) -> String {
    let mut text = String::new();
    for one in archives {
        let (file, size) = (one.file.display(), render::size(one.size));
        let _ = writeln!(text, "wrote cpio:{file} ({size}, {} unpacked)", render::size(one.unpacked));
    }
    if let Some(one) = archives.first() {
        let _ = writeln!(text, "boot it: qemu-system-… -kernel VMLINUZ -initrd {}", one.file.display());
    }
    text
}

/// What was made, and what to do with it.
fn summary(built: &Built, places: &[Place], reference: Option<String>, flat: bool) -> String {
    let mut text = String::new();
    for image in &built.image.platforms {
        let layers = image.manifest.layers();
        let size: u64 = layers.iter().map(|layer| layer.size()).sum();
        let _ = writeln!(
            text,
            "{}: {} layer{}, {}",
            image.platform,
            layers.len(),
            if layers.len() == 1 { "" } else { "s" },
            render::size(size)
        );
    }
    for (written, place) in built.written.iter().zip(places) {
        let names: Vec<&str> = written.names.iter().map(|(name, _)| name.as_str()).collect();
        let _ = writeln!(text, "wrote {} ({})", written.place, names.join(", "));
        for note in &written.notes {
            let _ = writeln!(text, "note: {note}");
        }
        if let Some(next) = next_step(place, reference.as_deref(), &names, flat) {
            text += &next;
        }
    }
    text
}

/// How the image gets from its place into an engine.
fn next_step(place: &Place, reference: Option<&str>, names: &[&str], flat: bool) -> Option<String> {
    match place {
        Place::Archive { file, .. } => {
            let file = file.display();
            let mut text = format!("load it: docker load -i {file}  or  podman load -i {file}\n");
            if let Some(reference) = reference {
                let _ = writeln!(text, "run it: docker run --rm {reference}");
            }
            Some(text)
        }
        Place::Layout { folder, .. } => {
            // A flat index has a name for each platform; otherwise one tag serves as the example for all.
            let (all, shown) = if flat { ("", names) } else { ("--all ", names.get(..1)?) };
            let line = |name| {
                format!("copy it: skopeo copy {all}oci:{}:{name} docker://REGISTRY/NAME:{name}\n", folder.display())
            };
            Some(shown.iter().map(line).collect())
        }
        Place::Stdio | Place::Registry(_) | Place::Rootfs(_) | Place::Cpio(_) | Place::Tar(_) => None,
    }
}

/// Unpacks the example into a private folder, which goes with what is returned.
pub fn example() -> Result<Staging, sazare::image::StoreError> {
    use sazare::image::StoreError;
    let staging = Staging::begin(&request::temporary())?;
    for (path, bytes) in EXAMPLE {
        let path = staging.scratch_folder().join(path);
        let fail = |error| StoreError::from_write(&path, error);
        std::fs::create_dir_all(path.parent().unwrap_or(&path)).map_err(fail)?;
        std::fs::write(&path, bytes).map_err(fail)?;
        if path.ends_with("bin/hello") {
            let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
            std::fs::set_permissions(&path, mode).map_err(fail)?;
        }
    }
    Ok(staging)
}
