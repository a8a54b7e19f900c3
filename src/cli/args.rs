//! Every flag, with its help. Short help, long help, man pages and completions all come from here.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Arg, Args as ClapArgs, Command, CommandFactory, Parser, Subcommand, ValueEnum};

use super::flags::{ImageFlags, PlatformWord};
use super::registries::RegistryFlags;

/// Builds OCI images from root file systems, without daemon or root, and refuses programs that could not start
#[derive(Debug, Parser)]
#[command(
    name = "sazare",
    version,
    long_version = super::version::LONG_VERSION,
    max_term_width = 110,
    after_help = "Exit codes: 0 success, 1 refused (findings of severity error), 2 invalid command line, 3 invalid recipe, 4 an input is missing, unreadable or corrupt, 5 could not write an output, 70 a bug in sazare.",
    after_long_help = "Exit codes:\n  0   success\n  1   refused: findings of severity error\n  2   invalid command line\n  3   invalid recipe\n  4   an input is missing, unreadable or corrupt\n  5   could not write an output\n  70  a bug in sazare\n\nPlaces:\n  oci:DIR[:TAG]              OCI image layout\n  oci-archive:FILE[:REF]     archive: OCI layout and docker's manifest.json in one tar\n  docker-archive:FILE[:REF]  the same when writing\n  docker://HOST/NAME[:TAG][@DIGEST]   image in a registry; when writing, without a digest\n  rootfs:DIR                 root file system as a directory; when writing, it must be empty or not exist\n  tar:FILE                   root file system as a tar (read only)\n  cpio:FILE                  initramfs; the extension selects the compression\n  DIR/  FILE.tar  -          a layout, an archive, an archive on standard output\n  FILE.cpio[.gz|.zst|.xz]  FILE.img   an initramfs; {arch} in the name writes one per platform"
)]
pub struct Args {
    #[command(subcommand)]
    pub verb: Verb,
    #[command(flatten)]
    pub global: Global,
}

/// The whole command line. `build` has docker's short flags; the short flags of `bundle` are magicpak's.
pub fn command() -> Command {
    let short = |build: Command, (name, letter)| build.mut_arg(name, |arg: Arg| arg.short(letter));
    let docker = [("tag", 't'), ("env", 'e'), ("label", 'l'), ("user", 'u'), ("workdir", 'w')];
    Args::command().mut_subcommand("build", |build| docker.into_iter().fold(build, short))
}

/// Flags that every verb has.
#[derive(Debug, ClapArgs)]
#[command(next_help_heading = "Global options")]
pub struct Global {
    /// Format of reports and results
    #[arg(long, global = true, value_name = "FORM", default_value = "human")]
    pub format: Format,
    /// Print only errors and warnings
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub quiet: bool,
    /// Print more: all evidence of findings, and every path that was tried
    #[arg(short, long, global = true)]
    pub verbose: bool,
    /// When to use colour; NO_COLOR is respected
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto")]
    pub color: When,
    /// How to show progress: auto is a line that changes on a terminal and plain lines elsewhere
    #[arg(long, global = true, value_name = "HOW", default_value = "auto")]
    pub progress: ProgressForm,
    /// Maximum size of all temporary files of one run, such as unpacked archives and layers, e.g. 500MB
    #[arg(long, global = true, value_name = "SIZE", default_value = "64GB")]
    pub temporary_size: String,
    /// Change to this directory first; relative paths are resolved from it
    #[arg(short = 'C', long = "directory", global = true, value_name = "DIR")]
    pub directory: Option<PathBuf>,
    #[command(flatten)]
    pub registries: RegistryFlags,
}

#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Build images and initramfs archives from a recipe or a root file system, after verifying that its programs can start
    #[command(
        after_help = "Examples:\n  sazare build images/hello -o hello.tar\n  sazare build rootfs --platform linux/arm64 --entrypoint /bin/app -t you/app:1.0 -o oci:out\n  sazare build --platform linux/amd64=stage/amd64 --platform linux/arm64=stage/arm64 --cmd /bin/sh -t app -o app.tar"
    )]
    Build(Box<BuildArgs>),
    /// Check whether the programs in a place would start
    Verify(VerifyArgs),
    /// Collect the files that programs need to run, and nothing else, into a directory, an image or an archive
    #[command(
        after_help = "Examples:\n  sazare bundle patchelf -o patchelf.tar\n  sazare bundle /usr/bin/curl --with ca,nss -o rootfs:out\n  sazare bundle /bin/app --root arm64-root -o oci:app\n  sazare bundle /usr/bin/clang-format /bundle --test --test-stdin 'int main(  ){ }' --test-stdout 'int main() {}'"
    )]
    Bundle(Box<BundleArgs>),
    /// Copy an image from place to place with unchanged digests, or put images of several platforms together
    #[command(
        after_help = "Examples:\n  sazare copy oci:out:v1 docker://ghcr.io/you/app:v1\n  sazare copy docker://debian:12-slim debian.tar --platform linux/arm64\n  sazare copy oci:amd64 oci:arm64 docker://ghcr.io/you/app:v1"
    )]
    Copy(CopyArgs),
    /// Show the contents of a place: platforms, config, layers, files and sizes
    Inspect(InspectArgs),
    /// Run a command inside a place, using the strongest method that this machine allows
    #[command(
        after_help = "Methods, the strongest first: namespace (new namespaces with the tree as the root), chroot (root only), loader (the tree's own loader, run directly). Only namespace confines the command; the others need --trust or --method. If qemu-user is installed, each method also runs programs of other architectures.\n\nExamples:\n  sazare try app.tar -- /bin/app --version\n  sazare try rescue.cpio.gz --platform linux/arm64 --expect-stdout hello -- /bin/sh -c 'echo hello'"
    )]
    Try(Box<TryArgs>),
    /// Test which features of this machine sazare can use
    Doctor,
    /// Write man pages, shell completions or the JSON schema of recipes
    Generate(GenerateArgs),
}

/// Flags of `build`.
#[derive(Debug, ClapArgs)]
pub struct BuildArgs {
    /// A recipe (a .toml file, or a directory with recipe.toml), or the directory of a root file system
    #[arg(value_name = "RECIPE|ROOTFS", required_unless_present_any = ["example", "platform"])]
    pub what: Option<PathBuf>,
    /// Where to write: oci:DIR[:TAG], docker://HOST/NAME[:TAG], FILE.tar, oci-archive:FILE, DIR/, rootfs:DIR or -; for an initramfs cpio:FILE, FILE.cpio.gz or FILE.img (repeatable)
    #[arg(short, long = "output", value_name = "PLACE", required = true)]
    pub output: Vec<String>,
    /// Build the built-in example: a greeting for linux/amd64 and linux/arm64
    #[arg(long, conflicts_with = "what")]
    pub example: bool,
    /// Platforms to build (comma-separated or repeated) [default: those of the recipe, or of the programs in ROOTFS].
    /// PLATFORM=DIR sets the root file system of one platform
    #[arg(long, value_name = "PLATFORM[=DIR]", value_delimiter = ',', value_parser = PlatformWord, hide_possible_values = true)]
    pub platform: Vec<String>,
    #[command(flatten)]
    pub image: ImageFlags,
}

/// Flags of `bundle`. The short ones are magicpak's.
#[derive(Debug, ClapArgs)]
pub struct BundleArgs {
    /// Programs: paths, or names to look up in PATH. Without --output, the last one is the directory to write
    #[arg(value_name = "PROGRAM", required = true)]
    pub programs: Vec<String>,
    /// Where to write: rootfs:DIR, oci:DIR[:TAG], docker://HOST/NAME[:TAG], FILE.tar, oci-archive:FILE, DIR/, cpio:FILE or - (repeatable)
    #[arg(short, long = "output", value_name = "PLACE")]
    pub output: Vec<String>,
    /// Root file system that has the programs: rootfs:DIR, oci:DIR[:TAG], docker://HOST/NAME[:TAG], an archive, tar:FILE, or a path [default: /]
    #[arg(long, value_name = "PLACE")]
    pub root: Option<String>,
    /// Platforms [default: those of the --root image, otherwise that of the first program]
    #[arg(long, value_name = "PLATFORM", value_delimiter = ',', value_parser = PlatformWord, hide_possible_values = true)]
    pub platform: Vec<String>,
    /// Also include matching paths, with the libraries that they need (repeatable)
    #[arg(short, long, value_name = "GLOB")]
    pub include: Vec<String>,
    /// Exclude matching paths, even if something needs them (repeatable)
    #[arg(short, long, value_name = "GLOB")]
    pub exclude: Vec<String>,
    /// Also include files that programs load at run time and that cannot be detected (repeatable, or a comma list)
    #[arg(long, value_name = "KIND", value_delimiter = ',')]
    pub with: Vec<ExtraKind>,
    /// Create an empty directory (repeatable)
    #[arg(long, value_name = "DIR")]
    pub mkdir: Vec<String>,
    /// Install the programs to this path, or into this directory if it ends with /
    #[arg(short = 'r', long, value_name = "PATH")]
    pub install_to: Option<String>,
    #[command(flatten)]
    pub trace: BundleTrace,
    #[command(flatten)]
    pub check: BundleCheck,
    #[command(flatten)]
    pub image: ImageFlags,
}

/// What to do with a bundle before it is written.
#[derive(Debug, ClapArgs)]
#[command(next_help_heading = "Before writing")]
pub struct BundleCheck {
    /// Run the program inside the bundle, with the strongest method that this machine allows; nothing is written if it fails
    #[arg(short, long)]
    pub test: bool,
    /// The command to run instead: split at spaces; run through a shell if it contains shell syntax
    #[arg(long, value_name = "COMMAND", requires = "test")]
    pub test_command: Option<String>,
    /// Standard input of the test
    #[arg(long, value_name = "TEXT", requires = "test")]
    pub test_stdin: Option<String>,
    /// Expected standard output of the test; surrounding white space is ignored
    #[arg(long, value_name = "TEXT", requires = "test")]
    pub test_stdout: Option<String>,
    /// Trust the programs of --root as your own: if namespaces are not available, test with a method that confines nothing
    #[arg(long, requires = "test")]
    pub trust: bool,
    /// The shell for tests if the bundle has none: a static BusyBox
    #[arg(long, value_name = "PATH|NAME", default_value = "busybox")]
    pub busybox: String,
    /// Pack the programs with UPX, after they were verified
    #[arg(short, long)]
    pub compress: bool,
    /// The UPX program
    #[arg(long, value_name = "PATH|NAME", default_value = "upx")]
    pub upx: String,
    /// Argument for UPX (repeatable)
    #[arg(long, value_name = "ARG", allow_hyphen_values = true, requires = "compress")]
    pub upx_arg: Vec<String>,
    /// Accepted for magicpak; no compiler is needed
    #[arg(long, hide = true)]
    pub cc: Option<String>,
    /// Accepted for magicpak; see --quiet and --verbose
    #[arg(long, hide = true)]
    pub log_level: Option<String>,
    /// Accepted for compatibility with magicpak; sazare never loads libraries
    #[arg(long, hide = true)]
    pub experimental_noload_resolver: bool,
}

/// A run that shows what a program uses.
#[derive(Debug, ClapArgs)]
#[command(next_help_heading = "Trace a run")]
pub struct BundleTrace {
    /// Run the program once and include the files that it opens, executes and looks up
    #[arg(short = 'd', long, visible_alias = "dynamic")]
    pub trace: bool,
    /// Argument for that run (repeatable)
    #[arg(long, visible_alias = "dynamic-arg", value_name = "ARG", allow_hyphen_values = true, requires = "trace")]
    pub trace_arg: Vec<String>,
    /// Standard input of that run
    #[arg(long, visible_alias = "dynamic-stdin", value_name = "TEXT", requires = "trace")]
    pub trace_stdin: Option<String>,
    /// Environment variable of that run, in addition to those of this process (repeatable)
    #[arg(long, value_name = "NAME=VALUE", requires = "trace")]
    pub trace_env: Vec<String>,
    /// Stop the run after this time, e.g. 30s, 500ms or 2m; if given, a timeout is not an error [default: 60s]
    #[arg(long, value_name = "TIME", requires = "trace")]
    pub trace_timeout: Option<String>,
}

/// Files that are included by kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ExtraKind {
    /// glibc's modules that look up hosts and users
    Nss,
    /// glibc's modules for character sets
    Gconv,
    /// CA certificates
    Ca,
    /// Time zones
    Zoneinfo,
}

/// Flags of `verify`.
#[derive(Debug, ClapArgs)]
pub struct VerifyArgs {
    /// What to check: a program, oci:DIR[:TAG], docker://HOST/NAME[:TAG], an archive, rootfs:DIR, tar:FILE, cpio:FILE, or any path whose type can be detected
    #[arg(value_name = "PLACE", required_unless_present = "explain")]
    pub place: Vec<String>,
    /// Platforms to check [default: all of an image; of a root or an initramfs the one that its programs are for]
    #[arg(long, value_name = "PLATFORM", value_delimiter = ',', value_parser = PlatformWord, hide_possible_values = true)]
    pub platform: Vec<String>,
    /// Accept findings with this code on the paths that match (repeatable)
    #[arg(long, value_name = "CODE[:GLOB]")]
    pub allow: Vec<String>,
    /// Accept the findings in this file
    #[arg(long, value_name = "FILE")]
    pub baseline: Option<PathBuf>,
    /// Write the current findings to this file; later, --baseline reports only new ones
    #[arg(long, value_name = "FILE", conflicts_with = "baseline")]
    pub write_baseline: Option<PathBuf>,
    /// First program of an initramfs (the kernel's rdinit= parameter)
    #[arg(long, value_name = "PATH", default_value = "/init")]
    pub init: String,
    /// Root file system in which the program finds its loader and libraries [default: /, that of this machine]
    #[arg(long, value_name = "DIR")]
    pub root: Option<PathBuf>,
    /// Explain a code, such as interp-missing
    #[arg(long, value_name = "CODE", conflicts_with = "place")]
    pub explain: Option<String>,
}

/// Flags of `copy`.
#[derive(Debug, ClapArgs)]
pub struct CopyArgs {
    /// Images to copy, and without --output the place to write as the last one. Several images become one with all platforms
    #[arg(value_name = "PLACE", required = true)]
    pub places: Vec<String>,
    /// Where to write: docker://HOST/NAME[:TAG], oci:DIR[:TAG], FILE.tar, oci-archive:FILE, DIR/ or - (repeatable)
    #[arg(short, long, value_name = "PLACE")]
    pub output: Vec<String>,
    /// Copy only these platforms [default: all, with everything that the index lists]
    #[arg(long, value_name = "PLATFORM", value_delimiter = ',')]
    pub platform: Vec<String>,
}

/// Flags of `inspect`.
#[derive(Debug, ClapArgs)]
pub struct InspectArgs {
    /// The place to show
    #[arg(value_name = "PLACE")]
    pub place: String,
    /// Show only these platforms
    #[arg(long, value_name = "PLATFORM", value_delimiter = ',', value_parser = PlatformWord, hide_possible_values = true)]
    pub platform: Vec<String>,
    /// List every file, with mode, owner, size and date
    #[arg(long)]
    pub files: bool,
    /// Print only why this path is included: which programs need it, and what a bundle recorded
    #[arg(long, value_name = "PATH", conflicts_with = "files")]
    pub why: Option<String>,
}

/// Flags of `try`.
#[derive(Debug, ClapArgs)]
pub struct TryArgs {
    /// An image, an archive, a root file system or an initramfs
    #[arg(value_name = "PLACE")]
    pub place: String,
    /// The command and its arguments, after --. Default: the image's entry point and command
    #[arg(last = true, value_name = "COMMAND")]
    pub command: Vec<OsString>,
    /// The platform to run [default: this machine's if the image has it, otherwise its first; of a root its programs']
    #[arg(long, value_name = "PLATFORM", value_parser = PlatformWord, hide_possible_values = true)]
    pub platform: Vec<String>,
    /// Standard input of the command: a text, or @FILE
    #[arg(long, value_name = "TEXT")]
    pub stdin: Option<String>,
    /// Expected standard output: a text, or @FILE; a final newline is ignored
    #[arg(long, value_name = "TEXT")]
    pub expect_stdout: Option<String>,
    /// Expected exit status
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub expect_status: i32,
    /// Time limit, such as 30s, 500ms or 2m; then the command and all its processes are killed
    #[arg(long, value_name = "TIME")]
    pub timeout: Option<String>,
    /// Environment variable, in addition to those of the image (repeatable)
    #[arg(short, long, value_name = "NAME=VALUE")]
    pub env: Vec<String>,
    /// User, as name or number, and group. Default: the image's
    #[arg(short, long, value_name = "USER[:GROUP]")]
    pub user: Option<String>,
    /// Working directory. Default: the image's
    #[arg(short, long, value_name = "DIR")]
    pub workdir: Option<String>,
    /// Use only this method, even if it confines nothing (repeatable). Default: namespace; with --trust all methods, the strongest first
    #[arg(long, alias = "way", value_name = "METHOD")]
    pub method: Vec<MethodWord>,
    /// Trust the tree as you trust your own programs: if namespaces are not available, use a method that confines nothing
    #[arg(long)]
    pub trust: bool,
    /// Let the command use this machine's network. Default: no network
    #[arg(long)]
    pub network: bool,
}

/// Flags of `generate`.
#[derive(Debug, ClapArgs)]
pub struct GenerateArgs {
    /// What to write
    #[command(subcommand)]
    pub what: Generated,
}

/// What can be generated.
#[derive(Debug, Subcommand)]
pub enum Generated {
    /// Man pages: one to standard output, or all into a directory
    Man {
        /// The directory
        #[arg(value_name = "DIR")]
        folder: Option<PathBuf>,
    },
    /// Completions for a shell, to standard output
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// The JSON schema of recipes, to standard output
    Schema,
}

/// Format of reports and results.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people.
    Human,
    /// JSON.
    Json,
    /// SARIF 2.1.0, for code scanning.
    Sarif,
    /// GitHub workflow annotations.
    Github,
}

/// A method to run a command inside a tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum MethodWord {
    /// A user namespace with the tree as its root.
    Namespace,
    /// chroot as root.
    Chroot,
    /// The tree's own loader, run directly.
    Loader,
}

/// When something is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum When {
    /// On a terminal.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// How progress is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ProgressForm {
    /// One changing line on a terminal, plain lines otherwise.
    Auto,
    /// Plain lines.
    Plain,
    /// None.
    None,
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn the_definition_agrees_with_itself_and_every_flag_has_help() {
        let mut command = command();
        command.clone().debug_assert();
        command.build();
        for verb in command.get_subcommands() {
            for arg in verb.get_arguments() {
                assert!(arg.get_help().is_some(), "{} {}", verb.get_name(), arg.get_id());
            }
        }
    }

    #[test]
    fn help_names_the_default_levels() {
        use sazare::codec::compress::Compression;
        let Compression::Gzip(gzip) = Compression::DEFAULT else { panic!("gzip is the default") };
        let mut command = command();
        command.build();
        let level =
            command.find_subcommand("build").unwrap().get_arguments().find(|arg| arg.get_id() == "compression_level");
        let help = level.unwrap().get_help().unwrap().to_string();
        let zstd = Compression::ZSTD_LEVEL;
        assert_eq!(help, format!("Level: 1 to 12 for gzip [default: {gzip}], 1 to 19 for zstd [default: {zstd}]"));
    }

    /// The heading of each flag of a verb, by its long name.
    fn headings(verb: &str) -> BTreeMap<String, Option<String>> {
        let mut command = command();
        command.build();
        let verb = command.find_subcommand(verb).unwrap();
        let heading = |arg: &Arg| arg.get_help_heading().map(str::to_string);
        verb.get_arguments().filter_map(|arg| Some((arg.get_long()?.to_string(), heading(arg)))).collect()
    }

    #[test]
    fn each_flag_stands_under_the_heading_of_its_group() {
        let build = headings("build");
        let groups: [(Option<&str>, &[&str]); 9] = [
            (None, &["output", "example", "platform", "help"]),
            (Some("Image name and date (override the recipe)"), &["tag", "created"]),
            (
                Some("Image config (same names as docker; overrides the recipe)"),
                &[
                    "entrypoint",
                    "cmd",
                    "env",
                    "label",
                    "annotation",
                    "user",
                    "workdir",
                    "expose",
                    "volume",
                    "stop-signal",
                ],
            ),
            (Some("Compression"), &["compression", "compression-level", "jobs"]),
            (Some("Layouts and archives"), &["flat-index", "docker-platform"]),
            (Some("Accepted findings"), &["allow", "baseline"]),
            (Some("Result"), &["metadata-file"]),
            (Some("Cache"), &["cache-dir", "cache-size", "no-cache"]),
            (Some("Registries"), &["authfile", "offline", "plain-http"]),
        ];
        let global = ["format", "quiet", "verbose", "color", "progress", "directory", "temporary-size"];
        let mut expected: BTreeMap<String, Option<String>> = BTreeMap::new();
        for (heading, flags) in groups.into_iter().chain([(Some("Global options"), global.as_slice())]) {
            expected.extend(flags.iter().map(|flag| (flag.to_string(), heading.map(str::to_string))));
        }
        assert_eq!(build, expected);
        // All of it is in `bundle` too, under the same headings.
        let bundle = headings("bundle");
        for (flag, heading) in expected.iter().filter(|(flag, _)| flag.as_str() != "example") {
            assert_eq!(bundle.get(flag), Some(heading), "{flag}");
        }
        assert_eq!(bundle["test"].as_deref(), Some("Before writing"));
        assert_eq!(bundle["trace"].as_deref(), Some("Trace a run"));
    }
}
