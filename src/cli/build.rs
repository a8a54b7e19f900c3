//! `sazare build`.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;
use std::process::ExitCode;

use sazare::bundle::trace::Traced;
use sazare::codec::Scratch;
use sazare::image::{Cache, LayerOptions, Staging};
use sazare::pipeline::{self, BuildError, Built, Folder, Initramfs, Outcome, Packed, Rehearsal, Rootfs, Verdict};
use sazare::recipe::Recipe;
use sazare::reference::{Repository, Tag};
use sazare::render;
use sazare::report::Severity;
use sazare::transport::{Archived, Place, WriteOptions};

use super::args::{Build, Format, Global};
use super::cache;
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
    let job = Job {
        places: build.output.iter().map(|text| Place::for_writing(text)).collect::<Result<_, _>>()?,
        name: recipe.name.clone().or_else(|| request::fallback_name(what)),
        layers: LayerOptions {
            compression: request::compression(build.compression, build.compression_level)?,
            jobs: request::jobs(build.jobs),
        },
        cache: cache::open(&build.cache)?,
        write: WriteOptions { flat_index: build.flat_index, docker_platform: build.docker_platform.clone() },
        allow: &build.allow,
        baseline: build.baseline.as_deref(),
        metadata_file: build.metadata_file.as_deref(),
        recipe: &recipe,
        traced: BTreeSet::new(),
        before: None,
    };
    job.run(global, console)
}

/// What is to be made of a recipe.
pub(super) struct Job<'a> {
    pub(super) recipe: &'a Recipe,
    pub(super) places: Vec<Place>,
    pub(super) name: Option<Repository>,
    pub(super) layers: LayerOptions,
    pub(super) cache: Option<Cache>,
    pub(super) write: WriteOptions,
    pub(super) allow: &'a [String],
    pub(super) baseline: Option<&'a Path>,
    pub(super) metadata_file: Option<&'a Path>,
    pub(super) traced: BTreeSet<Traced>,
    /// What is done before anything is written.
    pub(super) before: Option<&'a Before<'a>>,
}

/// Looks at the trees as they would be written, which were judged. Gives what is to be packed into them, or nothing when
/// they are refused; files that it makes go with the private folder.
pub(super) type Before<'a> = dyn Fn(Vec<Rehearsal>, &Path) -> Result<Option<Packed>, Trouble> + 'a;

impl Job<'_> {
    /// Makes it: everything is judged before anything is written.
    pub(super) fn run(self, global: &Global, console: &Console) -> Result<ExitCode, Trouble> {
        let Job { recipe, name, .. } = &self;
        let of_kind = |wanted: fn(&Place) -> bool| self.places.iter().filter(|place| wanted(place)).cloned().collect();
        let archives: Vec<Place> = of_kind(|place| matches!(place, Place::Cpio(_)));
        let folders: Vec<Place> = of_kind(|place| matches!(place, Place::Rootfs(_)));
        let places: Vec<Place> = of_kind(|place| !matches!(place, Place::Cpio(_) | Place::Rootfs(_)));
        let nothing = Packed::new();
        let mut asked = pipeline::Build {
            recipe,
            platforms: &recipe.platforms,
            name: name.clone(),
            tags: recipe.tags.clone(),
            when: request::when(recipe)?,
            places: &places,
            temporary: &request::temporary(),
            layers: self.layers,
            cache: self.cache.as_ref(),
            began: cache::now(),
            write: self.write.clone(),
            allow: &verify::allowances(self.allow)?,
            baseline: &verify::baseline(self.baseline)?,
            traced: &self.traced,
            packed: &nothing,
        };
        // What is packed lies in this folder until all is written.
        let (packed, _room);
        if let Some(before) = self.before {
            let room = Staging::begin(asked.temporary).map_err(BuildError::Store)?;
            let trees = pipeline::rehearse(&asked, &Scratch::new(room.scratch_folder()), console)?;
            if trees.iter().any(|tree| tree.verdict.judgement.report.refuses()) {
                let verdicts: Vec<Verdict> = trees.into_iter().map(|tree| tree.verdict).collect();
                return refused(&verdicts, global, console);
            }
            match before(trees, &room.scratch_folder())? {
                Some(contents) => packed = contents,
                None => {
                    console.tell("refused: nothing was written\n");
                    return Ok(ExitCode::from(REFUSED));
                }
            }
            _room = room;
            asked.packed = &packed;
        }
        let (mut verdicts, mut bundled) = (Vec::new(), Vec::new());
        let mut judged = None;
        if !archives.is_empty() {
            match pipeline::initramfs(&pipeline::Build { places: &archives, ..asked.clone() }, console)? {
                Initramfs::Refused(verdicts) => return refused(&verdicts, global, console),
                Initramfs::Judged(archives) => judged = Some(archives),
            }
        }
        let mut roots = None;
        if !folders.is_empty() {
            match pipeline::rootfs(&pipeline::Build { places: &folders, ..asked.clone() }, console)? {
                Rootfs::Refused(verdicts) => return refused(&verdicts, global, console),
                Rootfs::Judged(folders) => roots = Some(folders),
            }
        }
        let mut built = None;
        if !places.is_empty() {
            match pipeline::build(&asked, &mut std::io::stdout().lock(), console)? {
                Outcome::Refused(verdicts) => return refused(&verdicts, global, console),
                Outcome::Built(mut image) => {
                    verdicts.append(&mut image.verdicts);
                    bundled = std::mem::take(&mut image.bundled);
                    built = Some(image);
                }
            }
        }
        // Only now: nothing is written when any of the outputs is refused.
        let (mut archived, mut written) = (Vec::new(), Vec::new());
        if let Some(mut judged) = judged {
            archived = judged.write(console)?;
            verdicts.append(&mut judged.verdicts);
            bundled = std::mem::take(&mut judged.bundled);
        }
        if let Some(mut roots) = roots {
            written = roots.write(console)?;
            verdicts.append(&mut roots.verdicts);
            bundled = std::mem::take(&mut roots.bundled);
        }
        let report = verify::merged(&verdicts);
        let found = verify::human(&report, console);
        match report.count(Severity::Warning) {
            _ if report.findings.is_empty() => {}
            0 => console.say(&found),
            // What may go wrong is told to those who want to hear nothing else, too.
            _ => console.tell(&found),
        }
        let made = render::Made {
            built: built.as_deref(),
            archives: &archived,
            folders: &written,
            bundled: &bundled,
            report: &report,
        };
        let metadata = render::made(&made, &recipe.platforms, self.layers.compression);
        if let Some(file) = self.metadata_file {
            std::fs::write(file, &metadata).map_err(|error| Trouble::Output(file.display().to_string(), error))?;
        }
        console.say(&render::bundled(&bundled, console.verbose()));
        let tag = recipe.tags.first().cloned().unwrap_or_else(Tag::latest);
        if let Some(built) = &built {
            let reference = name.as_ref().map(|name| name.familiar(&tag));
            console.say(&summary(built, &places, reference, self.write.flat_index));
        }
        console.say(&archives_summary(&archived));
        console.say(&folders_summary(&written));
        // An archive on standard output is the result itself.
        if !places.contains(&Place::Stdio) {
            match global.format {
                Format::Human => {
                    let image = built.iter().map(|built| format!("{}\n", built.digest));
                    let files = archived.iter().map(|one| format!("{}  {}\n", one.digest, one.file.display()));
                    let folders = written.iter().map(|one| format!("{}\n", one.folder.display()));
                    console.result(&image.chain(files).chain(folders).collect::<String>())?;
                }
                Format::Json => console.result(&metadata)?,
                form @ (Format::Sarif | Format::Github) => {
                    console.result(&verify::render(&report, &verdicts, form, console))?;
                }
            }
        }
        Ok(ExitCode::SUCCESS)
    }
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

/// Which folders were written.
fn folders_summary(folders: &[Folder]) -> String {
    let mut text = String::new();
    for one in folders {
        let _ = writeln!(text, "wrote rootfs:{}", one.folder.display());
        for note in &one.notes {
            let _ = writeln!(text, "note: {note}");
        }
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
