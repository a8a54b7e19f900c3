//! Which files a start needs: the paths as kernel and loader spell them, and what needs each.
//!
//! A closure lists what is loaded. This lists what must exist for that, so that a smaller root can start the same programs. It
//! uses the rules of the verifier, so both always agree.

use std::collections::BTreeSet;

use crate::elf::Linkage;
use crate::path::ImagePath;
use crate::platform::Arch;
use crate::tree::InodeId;

use super::closure::Closures;
use super::glibc::ld_cache::Cache;
use super::glibc::tokens::token;
use super::kernel::exec::ExecContext;
use super::load::Loading;
use super::lookup::{regular, search_path};
use super::process::{Environment, Loaded, directory_of};
use super::script::check::{Search, Started};
use super::script::first_line::{FirstLine, SCRIPTS_MAX};
use super::user::ProcessUser;

/// The role of a file in a start.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// The loader of the program.
    Loader,
    /// A library that is loaded.
    Library {
        /// The needed name.
        name: Vec<u8>,
        /// How it is found: `RUNPATH of /usr/bin/x`, `system directory`.
        rule: String,
    },
    /// The interpreter of a script's first line.
    Interpreter,
    /// The program that `env` runs.
    Command,
}

/// One path that a start needs and that exists.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Need {
    /// The path, as it is passed to the kernel.
    pub path: Vec<u8>,
    /// The file that needs it first.
    pub by: Vec<u8>,
    /// Its role in the start.
    pub role: Role,
}

/// Everything that the start of one file needs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Needs {
    /// The paths that exist, in the order in which they are needed.
    pub found: Vec<Need>,
    /// Needed libraries that do not exist, each with the file that needs it.
    pub missing: Vec<(Vec<u8>, Vec<u8>)>,
    /// Loaders and interpreters that are named and do not exist, and libraries that exist only in a cache.
    pub absent: Vec<Vec<u8>>,
    /// Directories that the RUNPATH or RPATH of an object names.
    pub directories: BTreeSet<Vec<u8>>,
    /// The path of the loader, as written in the program.
    pub interpreter: Option<Vec<u8>>,
}

impl Closures<'_> {
    /// What the file at a path needs if root starts it from `/` with an empty environment: a program needs its loader and
    /// libraries, a script its interpreter, and any other file nothing.
    pub fn needs(&self, path: &ImagePath) -> Needs {
        let files = self.files();
        let (root, user) = (ImagePath::root(), ProcessUser::root());
        let Ok(found) = files.find(&root, path.as_bytes()) else { return Needs::default() };
        let Some(probe) = files.probe(found.id) else { return Needs::default() };
        if probe.elf.is_none() {
            return self.script_needs(found.id, &found.path);
        }
        let interpreter = probe.elf.as_ref().and_then(|facts| facts.interpreter.path()).map(<[u8]>::to_vec);
        let mut needs = Needs { interpreter: interpreter.clone(), ..Needs::default() };
        let Some(name) = interpreter.filter(|_| self.is_program(found.id)) else { return needs };
        if files.open_program(&root, &name, &user).is_err() {
            needs.absent.push(name);
            return needs;
        }
        needs.found.push(Need { path: name.clone(), by: path.as_bytes().to_vec(), role: Role::Loader });
        let Some((Some((loader, kind)), id, at)) = self.start(path) else { return needs };
        let loading = self.loading(&root, &user);
        if let Some(loaded) = loading.objects(id, &at, &name, loader.id, kind) {
            self.add(&loaded, &mut needs);
        }
        needs
    }

    /// The paths that the start of a program tries and does not find, and the directories that its objects name; each resolved as
    /// far as it exists in this tree. The same for the interpreters that it needs.
    pub fn looked_at(&self, program: &ImagePath) -> BTreeSet<ImagePath> {
        let root = ImagePath::root();
        let (mut looked_at, mut known) = (BTreeSet::new(), BTreeSet::new());
        let mut pending = vec![program.clone()];
        while let Some(path) = pending.pop() {
            if !known.insert(path.clone()) {
                continue;
            }
            let needs = self.needs(&path);
            for path in needs.absent.iter().chain(&needs.directories) {
                looked_at.insert(match self.files().find(&root, path) {
                    Ok(found) => found.path,
                    Err(error) => error.at,
                });
            }
            let programs = needs.found.iter().filter(|need| matches!(need.role, Role::Interpreter | Role::Command));
            pending.extend(programs.filter_map(|need| Some(self.files().find(&root, &need.path).ok()?.path)));
        }
        looked_at
    }

    /// What a library needs if a process with this loader opens it with dlopen(3). Nothing if it is not a library, or the loader is
    /// not one.
    pub fn library_needs(&self, path: &ImagePath, interpreter: &[u8]) -> Needs {
        let files = self.files();
        let (root, user) = (ImagePath::root(), ProcessUser::root());
        let mut needs = Needs::default();
        let (Ok(found), Ok(loader)) =
            (files.find(&root, path.as_bytes()), files.open_program(&root, interpreter, &user))
        else {
            return needs;
        };
        let dynamic = files.elf(found.id).filter(|facts| files.runs(facts).is_some() && facts.dynamic.is_some());
        if dynamic.is_none() || found.id == loader.id {
            return needs;
        }
        let Some(kind) = files.loader(loader.id) else { return needs };
        let loading = self.loading(&root, &user);
        if let Some(loaded) = loading.objects(found.id, &found.path, interpreter, loader.id, kind) {
            self.add(&loaded, &mut needs);
        }
        needs
    }

    /// The file of a program that is given as a name only, looked up in the default PATH.
    pub fn in_path(&self, name: &[u8]) -> Option<Vec<u8>> {
        let candidates = search_path(None).into_iter().map(|element| [element.as_slice(), b"/", name].concat());
        candidates.into_iter().find(|candidate| regular(self.files(), &ProcessUser::root(), candidate).is_ok())
    }

    /// The architecture of a file; for a script, that of its interpreter.
    pub fn arch_of(&self, path: &ImagePath) -> Option<Arch> {
        let files = self.files();
        let mut at = path.as_bytes().to_vec();
        // The kernel follows this many scripts, and then the program.
        for _ in 0..=SCRIPTS_MAX {
            let found = files.find(&ImagePath::root(), &at).ok()?;
            if let Some(facts) = files.elf(found.id) {
                return facts.arch;
            }
            at = self.script_needs(found.id, &found.path).found.into_iter().next()?.path;
        }
        None
    }

    fn script_needs(&self, id: InodeId, path: &ImagePath) -> Needs {
        let (root, user) = (ImagePath::root(), ProcessUser::root());
        let Some(probe) = self.files().probe(id) else { return Needs::default() };
        let search = Search { path: &search_path(None), directory: b"/" };
        let mut starts = self.context(&root, &user).script(id, path, probe, &search).starts;
        starts.sort_by_key(|started| started.by_env);
        let need = |started: Started| Need {
            path: started.spelled,
            by: path.as_bytes().to_vec(),
            role: if started.by_env { Role::Command } else { Role::Interpreter },
        };
        let mut needs = Needs { found: starts.into_iter().map(need).collect(), ..Needs::default() };
        if let FirstLine::Interpreter { path, .. } = FirstLine::read(&probe.head)
            && needs.found.is_empty()
            && path.starts_with(b"/")
        {
            needs.absent.push(path);
        }
        needs
    }

    fn is_program(&self, id: InodeId) -> bool {
        let executable = self.files().tree.inode(id).meta.mode.any_execute();
        let linkage = self.files().elf(id).map(|facts| self.files().linkage_by_headers(facts, executable));
        matches!(linkage, Some(Linkage::Dynamic))
    }

    fn add(&self, loaded: &Loaded, needs: &mut Needs) {
        for (name, path) in &loaded.resolved {
            let object = loaded.objects.iter().find(|object| object.path == *path);
            let Some(object) = object.filter(|object| !object.is_loader) else { continue };
            let by = object.by.and_then(|by| loaded.objects.get(by));
            needs.found.push(Need {
                path: path.clone(),
                by: by.map(|object| object.path.clone()).unwrap_or_default(),
                role: Role::Library { name: name.clone(), rule: object.rule.clone() },
            });
        }
        needs.missing.extend(loaded.missing.iter().cloned());
        self.add_beyond(loaded, needs);
        for object in &loaded.objects {
            let Some(dynamic) = self.files().elf(object.id).and_then(|facts| facts.dynamic.as_ref()) else { continue };
            let lists = [&dynamic.runpath, &dynamic.rpath].into_iter().flatten();
            for element in lists.flat_map(|list| list.split(|&byte| byte == b':')) {
                let directory = match token(element, b"ORIGIN") {
                    Some(length) => [directory_of(&object.path), &element[length..]].concat(),
                    None => element.to_vec(),
                };
                if directory.starts_with(b"/") && !directory.contains(&b'$') {
                    needs.directories.insert(directory);
                }
            }
        }
    }

    /// The paths that the configuration files of loaders add to a search: entries of the cache whose file does not exist, and the
    /// directories in musl's `.path` file.
    fn add_beyond(&self, loaded: &Loaded, needs: &mut Needs) {
        let (files, root) = (self.files(), ImagePath::root());
        let read = |path: &[u8]| files.whole(files.find(&root, path).ok()?.id);
        let bytes = read(b"/etc/ld.so.cache").unwrap_or_default();
        let names = loaded.resolved.iter().chain(&loaded.missing).map(|(name, _)| name);
        if let Some(cache) = loaded.abi.and_then(|(arch, abi)| Cache::read(bytes, arch, abi)) {
            let known = names.filter_map(|name| cache.find(name).plain);
            needs.absent.extend(known.filter(|path| files.find(&root, path).is_err()).map(<[u8]>::to_vec));
        }
        let etc = files.find(&root, b"/etc").ok().and_then(|etc| files.tree.entries(etc.id));
        for name in etc.into_iter().flat_map(|entries| entries.keys()) {
            let name = name.as_bytes();
            if name.starts_with(b"ld-musl-") && name.ends_with(b".path") {
                let text = read(&[b"/etc/", name].concat()).unwrap_or_default();
                let lines = text.split(|byte| b":\n".contains(byte)).filter(|line| line.starts_with(b"/"));
                needs.directories.extend(lines.map(<[u8]>::to_vec));
            }
        }
    }

    fn context<'s>(&'s self, cwd: &'s ImagePath, user: &'s ProcessUser) -> ExecContext<'s> {
        ExecContext { files: self.files(), whole: "the tree", cwd, user, named: true }
    }

    fn loading<'s>(&'s self, cwd: &'s ImagePath, user: &'s ProcessUser) -> Loading<'s> {
        static NOTHING: Environment = Environment { library_path: None, preload: None, bind_now: false };
        Loading { files: self.files(), environment: &NOTHING, cwd, user, proc: true }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::elf::forge::Forge;
    use crate::link::sample::Sample;
    use crate::path::display_bytes;
    use crate::platform::Platform;

    const LOADER: &str = "/lib64/ld-linux-x86-64.so.2";

    fn lines(needs: &Needs) -> Vec<String> {
        let line = |need: &Need| {
            let role = match &need.role {
                Role::Loader => "loader".to_string(),
                Role::Library { name, rule } => format!("{} by {rule}", display_bytes(name)),
                Role::Interpreter => "interpreter".into(),
                Role::Command => "command".into(),
            };
            format!("{} for {}: {role}", display_bytes(&need.path), display_bytes(&need.by))
        };
        needs.found.iter().map(line).collect()
    }

    #[test]
    fn what_only_the_files_of_the_loaders_name_is_found() {
        let cache = [(b"liba.so".to_vec(), b"/srv/liba.so".to_vec()), (b"libz.so".to_vec(), b"/srv/libz.so".to_vec())];
        let sample = Sample::new()
            .elf(LOADER, &Forge::glibc())
            .elf("/app", &Forge { needed: vec!["liba.so".into()], ..Forge::dynamic(LOADER) })
            .bytes("/etc/ld.so.cache", 0o644, &crate::link::ld_cache(Arch::Amd64, &cache.into_iter().collect()))
            .text("/etc/ld-musl-x86_64.path", 0o644, "/opt/musl:/x\n/y\n");
        let needs = Closures::new(&sample.tree, &Platform::new(Arch::Amd64)).needs(&"/app".parse().unwrap());
        assert_eq!(needs.absent, [b"/srv/liba.so".to_vec()]);
        let directories: Vec<String> = needs.directories.iter().map(|path| display_bytes(path)).collect();
        assert_eq!(directories, ["/opt/musl", "/x", "/y"]);
    }

    #[test]
    fn paths_are_given_as_they_are_spelled() {
        let app = Forge {
            needed: vec!["liba.so".into(), "gone.so".into()],
            runpath: Some("$ORIGIN/../opt:/srv".into()),
            ..Forge::dynamic(LOADER)
        };
        let library = Forge { needed: vec!["libb.so".into()], ..Forge::library("liba.so") };
        let sample = Sample::new()
            .elf("/usr/lib64/ld-linux-x86-64.so.2", &Forge::glibc())
            .link("/lib64", "usr/lib64")
            .elf("/opt/liba.so", &library)
            .elf("/lib/x86_64-linux-gnu/libb.so", &Forge::library("libb.so"))
            .elf("/bin/app", &app)
            .text("/bin/run", 0o755, "#!/usr/bin/env app\n")
            .elf("/usr/bin/env", &Forge::program());
        let closures = Closures::new(&sample.tree, &Platform::new(Arch::Amd64));
        let needs = closures.needs(&"/bin/app".parse().unwrap());
        assert_eq!(
            lines(&needs),
            [
                "/lib64/ld-linux-x86-64.so.2 for /bin/app: loader",
                "/bin/../opt/liba.so for /bin/app: liba.so by RUNPATH of /bin/app",
                "/lib/x86_64-linux-gnu/libb.so for /bin/../opt/liba.so: libb.so by system directory",
            ]
        );
        assert_eq!(needs.missing, [(b"gone.so".to_vec(), b"/bin/app".to_vec())]);
        let directories: Vec<String> = needs.directories.iter().map(|path| display_bytes(path)).collect();
        assert_eq!(directories, ["/bin/../opt", "/srv"]);
        let needs = closures.needs(&"/bin/run".parse().unwrap());
        assert_eq!(lines(&needs), ["/usr/bin/env for /bin/run: interpreter", "/bin/app for /bin/run: command"]);
        assert_eq!(closures.arch_of(&"/bin/run".parse().unwrap()), Some(Arch::Amd64));
        let needs = closures.library_needs(&"/opt/liba.so".parse().unwrap(), LOADER.as_bytes());
        assert_eq!(lines(&needs), ["/lib/x86_64-linux-gnu/libb.so for /opt/liba.so: libb.so by system directory"]);
        assert_eq!(closures.in_path(b"app"), Some(b"/bin/app".to_vec()));
    }
}
