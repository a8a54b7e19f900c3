//! `sazare build`.

use super::out::Out;
use std::collections::BTreeSet;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::process::ExitCode;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use sazare::bundle::trace::Traced;
use sazare::pipeline::{self, BuildError, Built, Checked, Order, Ready};
use sazare::private::PrivateFolder;
use sazare::recipe::Recipe;
use sazare::reference::{Repository, Tag};
use sazare::render::{self, Text};
use sazare::replace::NewFile;
use sazare::report::Severity;
use sazare::transport::{Place, Written};

use super::args::{BuildArgs, Format, Global};
use super::cache;
use super::console::Console;
use super::error::{CliError, REFUSED};
use super::flags::ImageFlags;
#[cfg(feature = "registry")]
use super::registries::Reach;
use super::request;
use super::verify;

/// The files of the example, relative to its folder.
const EXAMPLE: [(&str, &[u8]); 3] = [
    ("recipe.toml", include_bytes!("../../images/hello/recipe.toml")),
    ("amd64/bin/hello", include_bytes!("../../images/hello/amd64/bin/hello")),
    ("arm64/bin/hello", include_bytes!("../../images/hello/arm64/bin/hello")),
];

/// Runs the verb.
pub fn run(build: &BuildArgs, global: &Global, console: &Console) -> Result<ExitCode, CliError> {
    raise_limit_of_open_files();
    if build.example {
        let folder = example().map_err(|error| CliError::Build(BuildError::Store(error)))?;
        return run_recipe(build, Some(folder.path()), global, console);
    }
    run_recipe(build, build.what.as_deref(), global, console)
}

/// Files of the sources stay open from one reader to the next, as many as the limit allows ([`sazare::tree::Tree::keep_open`]).
/// The usual limit of 1,024 is there for programs that use select(2); this verb starts no other program.
fn raise_limit_of_open_files() {
    let limit = getrlimit(Resource::Nofile);
    // If it cannot be raised, some files are opened twice.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit });
}

fn run_recipe(
    build: &BuildArgs,
    what: Option<&Path>,
    global: &Global,
    console: &Console,
) -> Result<ExitCode, CliError> {
    let wanted = request::platforms(&build.platform)?;
    let recipe = request::recipe(build, what, &wanted, console)?;
    let places = build.output.iter().map(|text| Place::for_writing(text)).collect::<Result<_, _>>()?;
    let name = recipe.name.clone().or_else(|| request::fallback_name(what));
    let traced = BTreeSet::new();
    Job { recipe: &recipe, places, name, flags: &build.image, traced, review: None }.run(global, console)
}

/// What is to be made of a recipe.
pub(super) struct Job<'a> {
    pub(super) recipe: &'a Recipe,
    pub(super) places: Vec<Place>,
    pub(super) name: Option<Repository>,
    pub(super) flags: &'a ImageFlags,
    pub(super) traced: BTreeSet<Traced>,
    /// What is done before anything is written.
    pub(super) review: Option<&'a Review<'a>>,
}

/// Looks at the trees as they would be written, after they were verified; may put other contents into their files. Says
/// whether they are to be written.
pub(super) type Review<'a> = dyn Fn(&mut Ready<'_>) -> Result<bool, CliError> + 'a;

impl Job<'_> {
    /// Makes it: everything is verified before anything is written.
    pub(super) fn run(self, global: &Global, console: &Console) -> Result<ExitCode, CliError> {
        let Job { recipe, name, flags, .. } = &self;
        let cache = cache::open(&flags.cache)?;
        let layout = &flags.layout;
        let docker_platform = layout.docker_platform.as_deref().map(str::parse).transpose();
        let docker_platform =
            docker_platform.map_err(|error| CliError::Usage(format!("--docker-platform: {error}"), None))?;
        let temporary = request::temporary();
        let allow = verify::allowances(&flags.check.allow)?;
        let baseline = verify::baseline(flags.check.baseline.as_deref())?;
        let mut order = Order::new(recipe, &self.places, &temporary);
        order.name = name.clone();
        order.when = request::when(recipe)?;
        order.temporary_size = request::temporary_size(global)?;
        order.metadata_file = flags.result.metadata_file.as_deref();
        order.layers = request::layers(&flags.layers)?;
        order.cache = cache.as_ref();
        order.began = cache::now();
        #[cfg(feature = "registry")]
        let reach = Reach::new(&global.registries);
        #[cfg(feature = "registry")]
        {
            order.registries = Some(&reach.registries);
            order.write.registries = Some(reach.registries.clone());
        }
        order.write.flat_index = layout.flat_index;
        order.write.docker_platform = docker_platform;
        order.allow = &allow;
        order.baseline = &baseline;
        order.traced = &self.traced;
        let mut ready = pipeline::check(&order, console)?;
        if ready.checked().report.refuses() {
            return refused(ready.checked(), global, console);
        }
        if let Some(review) = self.review {
            if !review(&mut ready)? {
                console.say_always(&Text::of("refused: nothing was written"));
                return Ok(ExitCode::from(REFUSED));
            }
            if ready.checked().report.refuses() {
                return refused(ready.checked(), global, console);
            }
        }
        let output = |file: &Path, error| CliError::Output(file.display().to_string(), error);
        let metadata = match order.metadata_file {
            // Begun before anything is in its place: if it cannot be written there, nothing is.
            Some(file) => Some((file, NewFile::begin(file).map_err(|error| output(file, error.error))?)),
            None => None,
        };
        let mut out = BufWriter::new(Out);
        let built = ready.write(&mut out, console)?;
        let finish = || {
            out.flush().map_err(|error| CliError::Output("standard output".into(), error))?;
            let text = render::built(&built, &recipe.platforms, order.layers.compression);
            if let Some((file, new)) = metadata {
                new.publish(text.as_bytes()).map_err(|error| output(file, error))?;
            }
            self.report(&built, &text, global, console)
        };
        finish().map_err(|error| CliError::Unfinished {
            error: Box::new(error),
            written: built.written.iter().map(Written::place).collect(),
        })
    }

    /// Says what was made.
    fn report(&self, built: &Built, metadata: &str, global: &Global, console: &Console) -> Result<ExitCode, CliError> {
        let report = &built.checked.report;
        let found = verify::human(report, console);
        match report.count(Severity::Warning) {
            _ if report.findings.is_empty() => {}
            0 => console.say(&found),
            // What may go wrong is told to those who want to hear nothing else, too.
            _ => console.say_always(&found),
        }
        console.say(&render::bundled(&built.bundled, console.verbose()));
        let tag = self.recipe.tags.first().cloned().unwrap_or_else(Tag::latest);
        let reference = self.name.as_ref().map(|name| name.familiar(&tag));
        console.say(&summary(built, &self.places, reference, self.flags.layout.flat_index));
        // An archive on standard output is the result itself.
        if self.places.contains(&Place::Stdio) {
            return Ok(ExitCode::SUCCESS);
        }
        match global.format {
            Format::Human => {
                let image = built.image.iter().map(|(digest, _)| format!("{digest}\n"));
                let others = built.written.iter().filter_map(|written| match written {
                    Written::Image(_) => None,
                    Written::Initramfs(one) => Some(format!("{}  {}\n", one.digest, one.file.display())),
                    Written::Rootfs(one) => Some(format!("{}\n", one.folder.display())),
                });
                console.result(&image.chain(others).collect::<String>())?;
            }
            Format::Json => console.result(metadata)?,
            form @ (Format::Sarif | Format::Github) => {
                console.result(&verify::render(report, &built.checked.verdicts, form, console))?;
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// Says why nothing was written.
fn refused(checked: &Checked, global: &Global, console: &Console) -> Result<ExitCode, CliError> {
    let Checked { report, verdicts, .. } = checked;
    match global.format {
        Format::Human => console.say_always(&verify::human(report, console)),
        format => console.result(&verify::render(report, verdicts, format, console))?,
    }
    console.say_always(&Text::of("refused: nothing was written"));
    Ok(ExitCode::from(REFUSED))
}

/// What was made, and what to do with it.
fn summary(built: &Built, places: &[Place], reference: Option<String>, flat: bool) -> Text {
    let mut text = Text::new();
    for image in built.image.iter().flat_map(|(_, image)| &image.platforms) {
        let layers = image.manifest.layers();
        let size: u64 = layers.iter().map(|layer| layer.size()).sum();
        text.line(format_args!(
            "{}: {} layer{}, {}",
            image.platform,
            layers.len(),
            if layers.len() == 1 { "" } else { "s" },
            render::size(size)
        ));
    }
    let mut images = places.iter().filter(|place| !matches!(place, Place::Cpio(_) | Place::Rootfs(_)));
    let mut archive = None;
    for written in &built.written {
        match written {
            Written::Image(written) => {
                let names: Vec<&str> = written.names.iter().map(|(name, _)| name.as_str()).collect();
                text.line(format_args!("wrote {} ({})", written.place, names.join(", ")));
                notes(&mut text, &written.notes);
                let place = images.next();
                let next = place.and_then(|place| next_step(place, reference.as_deref(), &names, flat));
                next.iter().for_each(|next| text.append(next));
            }
            Written::Initramfs(one) => {
                let (file, size) = (one.file.display(), render::size(one.size));
                text.line(format_args!("wrote cpio:{file} ({size}, {} unpacked)", render::size(one.unpacked)));
                archive = archive.or(Some(&one.file));
            }
            Written::Rootfs(one) => {
                text.line(format_args!("wrote rootfs:{}", one.folder.display()));
                notes(&mut text, &one.notes);
            }
        }
    }
    if let Some(file) = archive {
        text.line(format_args!("boot it: qemu-system-… -kernel VMLINUZ -initrd {}", file.display()));
    }
    text
}

fn notes(text: &mut Text, notes: &[String]) {
    for note in notes {
        text.line(format_args!("note: {note}"));
    }
}

/// How the image gets from its place into an engine.
fn next_step(place: &Place, reference: Option<&str>, names: &[&str], flat: bool) -> Option<Text> {
    match place {
        Place::Archive { file, .. } => {
            let file = file.display();
            let mut text = Text::of(format_args!("load it: docker load -i {file}  or  podman load -i {file}"));
            if let Some(reference) = reference {
                text.line(format_args!("run it: docker run --rm {reference}"));
            }
            Some(text)
        }
        Place::Layout { folder, .. } => {
            // A flat index has a name for each platform; otherwise one tag serves as the example for all.
            let (all, shown) = if flat { ("", names) } else { ("--all ", names.get(..1)?) };
            let mut text = Text::new();
            for name in shown {
                let from = folder.display();
                text.line(format_args!("copy it: skopeo copy {all}oci:{from}:{name} docker://REGISTRY/NAME:{name}"));
            }
            Some(text)
        }
        Place::Registry(image) => {
            let name = names.first()?;
            Some(Text::of(format_args!("run it: docker run --rm {}:{name}", image.repository())))
        }
        Place::Stdio | Place::Rootfs(_) | Place::Cpio(_) | Place::Tar(_) => None,
    }
}

/// Unpacks the example into a private folder, which goes with what is returned.
fn example() -> Result<PrivateFolder, sazare::image::StoreError> {
    use sazare::image::StoreError;
    let private = PrivateFolder::make_in(&request::temporary())?;
    for (path, bytes) in EXAMPLE {
        let path = private.path().join(path);
        let fail = |error| StoreError::from_write(&path, error);
        std::fs::create_dir_all(path.parent().unwrap_or(&path)).map_err(fail)?;
        std::fs::write(&path, bytes).map_err(fail)?;
        if path.ends_with("bin/hello") {
            let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
            std::fs::set_permissions(&path, mode).map_err(fail)?;
        }
    }
    Ok(private)
}
