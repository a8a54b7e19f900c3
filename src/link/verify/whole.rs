//! Checks that are not about one program: configuration files that name libraries, an empty `ld.so.cache`, missing gconv tables.

use std::collections::BTreeSet;

use crate::elf::{Symbol, SymbolName, Symbols};
use crate::path::ImagePath;
use crate::report::Code;
use crate::tree::{InodeId, Kind};

use crate::link::draft::Draft;
use crate::link::files::Files;
use crate::link::glibc::ld_cache::Cache;
use crate::link::loader::GlibcLoader;
use crate::link::process::listed;

use super::programs::is_library_name;

/// `/etc/nsswitch.conf` names a service whose library does not exist.
pub const NSS_MISSING: Code = Code("nss-missing");
/// glibc looks libraries up in a cache that does not list them.
pub const LD_CACHE_EMPTY: Code = Code("ld-cache-empty");
/// The tables of glibc's iconv do not exist.
pub const GCONV_MISSING: Code = Code("gconv-missing");

/// The largest configuration file that is read, in bytes.
const TEXT_MAX: u64 = 1 << 20;

/// Services that are part of glibc since 2.34.
const BUILT_IN: [&str; 2] = ["files", "dns"];

/// Databases that logins and lookups of host names need.
const VITAL: [&str; 3] = ["passwd", "group", "hosts"];

/// The input for the checks that are made once for a tree.
pub(crate) struct WholeTree<'a> {
    pub files: &'a Files<'a>,
    /// The loader of the programs, if it is glibc's.
    pub glibc: Option<&'a GlibcLoader>,
    /// Every file that some program loads.
    pub loaded: &'a BTreeSet<InodeId>,
}

impl WholeTree<'_> {
    /// All findings, each with the file that it is about.
    pub fn check(&self) -> Vec<(ImagePath, Draft)> {
        let mut drafts = Vec::new();
        if let Some(glibc) = self.glibc {
            drafts.extend(self.services());
            drafts.extend(self.cache(glibc));
            drafts.extend(self.conversions(glibc));
        }
        drafts
    }

    fn text(&self, path: &str) -> Option<(ImagePath, String)> {
        let found = self.files.find(&ImagePath::root(), path.as_bytes()).ok()?;
        let bytes = self.files.head(found.id, TEXT_MAX)?;
        Some((found.path, String::from_utf8_lossy(&bytes).into_owned()))
    }

    /// Checks `/etc/nsswitch.conf`. glibc skips a service that has no library. This changes answers if it is the only service of a
    /// database, or if the file says to stop there.
    fn services(&self) -> Option<(ImagePath, Draft)> {
        let (path, text) = self.text("/etc/nsswitch.conf")?;
        let mut faults: Vec<(String, &'static str)> = Vec::new();
        let mut absent = BTreeSet::new();
        for line in text.lines().map(|line| line.split('#').next().unwrap_or_default()) {
            let Some((database, services)) = line.split_once(':') else { continue };
            let database = database.trim();
            if !VITAL.contains(&database) {
                continue;
            }
            let words = services.replace('[', " [").replace(']', "] ");
            let mut words = words.split_whitespace().peekable();
            let (mut there, mut missing, mut stops) = (false, BTreeSet::new(), false);
            while let Some(word) = words.next() {
                if word.starts_with('[') || word.ends_with(']') {
                    continue;
                }
                let library = format!("libnss_{word}.so.2");
                if BUILT_IN.contains(&word) || !self.files.by_name(library.as_bytes()).is_empty() {
                    there = true;
                    continue;
                }
                missing.insert(word.to_string());
                let action = words.peek().map(|word| word.to_ascii_lowercase()).unwrap_or_default();
                stops |= ["[unavail=return]", "[!success=return]"].contains(&action.as_str());
            }
            if missing.is_empty() || (there && !stops) {
                continue;
            }
            let what =
                if stops { "stops at a service without a library" } else { "has no other service: every lookup fails" };
            faults.push((database.to_string(), what));
            absent.append(&mut missing);
        }
        if faults.is_empty() {
            return None;
        }
        let names = listed(absent.iter().map(|name| name.as_bytes()));
        let mut draft = Draft::warning(NSS_MISSING, format!("names services whose libraries are missing: {names}"));
        for service in &absent {
            draft = draft.because(format!("libnss_{service}.so.2"), "no file of that name");
        }
        for (database, what) in faults {
            draft = draft.because(database, what);
        }
        Some((path, draft.fix("add their packages (Debian: libnss-…), or remove the services from the file")))
    }

    /// Reports a cache that is empty or missing although `ld.so.conf` names directories with libraries. glibc never reads
    /// `ld.so.conf` itself.
    fn cache(&self, glibc: &GlibcLoader) -> Option<(ImagePath, Draft)> {
        let listed_directories = self.conf_directories("/etc/ld.so.conf", 0);
        let holding: Vec<&String> = listed_directories
            .iter()
            .filter(|directory| {
                !glibc.directories.iter().any(|system| system == directory.trim_end_matches('/').as_bytes())
            })
            .filter(|directory| self.holds_libraries(directory))
            .collect();
        if holding.is_empty() {
            return None;
        }
        let found = self.files.find(&ImagePath::root(), b"/etc/ld.so.cache").ok();
        let bytes = found.as_ref().and_then(|found| self.files.whole(found.id));
        let known =
            bytes.and_then(|bytes| Cache::read(bytes, self.files.arch?, glibc.abi)).map_or(0, |cache| cache.len());
        if known > 0 {
            return None;
        }
        let path = found.map_or_else(|| ImagePath::parse(b"/etc/ld.so.conf").ok(), |found| Some(found.path))?;
        let what =
            if bytes.is_some() { "lists no library" } else { "is not read at run time, and there is no ld.so.cache" };
        let mut draft = Draft::warning(LD_CACHE_EMPTY, format!("{what}: directories of ld.so.conf are not searched"));
        for directory in holding {
            draft = draft.because(directory.clone(), "listed in ld.so.conf, contains libraries");
        }
        Some((
            path,
            draft.fix("make the cache with an ldconfig of the image's own architecture; any other leaves it empty"),
        ))
    }

    fn conf_directories(&self, path: &str, depth: usize) -> Vec<String> {
        let Some((_, text)) = self.text(path) else { return Vec::new() };
        let mut directories = Vec::new();
        for line in text.lines().map(|line| line.split('#').next().unwrap_or_default().trim()) {
            match line.strip_prefix("include") {
                Some(pattern) if depth < 4 => {
                    for file in self.matching(pattern.trim()) {
                        directories.extend(self.conf_directories(&file, depth + 1));
                    }
                }
                _ if line.starts_with('/') => directories.push(line.to_string()),
                _ => {}
            }
        }
        directories
    }

    /// The paths that match a pattern such as `/etc/ld.so.conf.d/*.conf`.
    fn matching(&self, pattern: &str) -> Vec<String> {
        let pattern = if pattern.starts_with('/') { pattern.to_string() } else { format!("/etc/{pattern}") };
        let Some((directory, name)) = pattern.rsplit_once('/') else { return Vec::new() };
        let Some((start, end)) = name.split_once('*') else { return vec![pattern.clone()] };
        let names = self.entries(directory).into_iter();
        let names = names.filter(|entry| entry.starts_with(start.as_bytes()) && entry.ends_with(end.as_bytes()));
        names.map(|entry| format!("{directory}/{}", String::from_utf8_lossy(&entry))).collect()
    }

    fn entries(&self, directory: &str) -> Vec<Vec<u8>> {
        let Ok(found) = self.files.find(&ImagePath::root(), directory.as_bytes()) else { return Vec::new() };
        match &self.files.tree.inode(found.id).kind {
            Kind::Directory(entries) => entries.keys().map(|name| name.as_bytes().to_vec()).collect(),
            Kind::File(_) | Kind::Symlink(_) | Kind::CharDevice(_) | Kind::BlockDevice(_) | Kind::Fifo => Vec::new(),
        }
    }

    fn holds_libraries(&self, directory: &str) -> bool {
        self.entries(directory).iter().any(|name| is_library_name(name))
    }

    /// Reports missing tables of iconv(3), which it needs for all but a few encodings. It is not known before a run whether a program
    /// uses it, so only programs that load a library which calls it count.
    fn conversions(&self, glibc: &GlibcLoader) -> Option<(ImagePath, Draft)> {
        let asks = |id: &InodeId| {
            let iconv = SymbolName::new(b"iconv_open");
            let asks = |symbol: &Symbol, symbols: &Symbols| symbol.is_undefined() && symbols.name(symbol) == iconv;
            self.files
                .tables(*id)
                .is_some_and(|tables| tables.symbols.all.iter().any(|symbol| asks(symbol, &tables.symbols)))
        };
        let asking: BTreeSet<InodeId> = self.loaded.iter().filter(|id| asks(id)).copied().collect();
        if asking.is_empty() {
            return None;
        }
        let there = glibc.directories.iter().any(|directory| {
            let directory = String::from_utf8_lossy(directory);
            !self.entries(&format!("{directory}/gconv")).is_empty()
        });
        if there {
            return None;
        }
        // The first one by path, because inode numbers depend on the order of files in an archive.
        let path = self.files.tree.walk().into_iter().find(|entry| asking.contains(&entry.id))?.path;
        let draft =
            Draft::note(GCONV_MISSING, "uses iconv, but glibc's tables for encodings other than UTF-8 are missing")
                .because("gconv", "no such directory below a system directory of the loader")
                .fix("add glibc's gconv directory, if other encodings are needed");
        Some((path, draft))
    }
}

#[cfg(test)]
mod tests {
    use crate::elf::forge::Forge;
    use crate::link::sample::Sample;
    use crate::link::{Purpose, Verification};

    const LOADER: &str = "/lib64/ld-linux-x86-64.so.2";

    fn verified(sample: &Sample) -> Verification {
        sample.verified(Purpose::Plain)
    }

    /// Code, severity, path and the subjects of the evidence of all findings.
    fn found(sample: &Sample) -> Vec<String> {
        let findings = verified(sample).report.findings;
        let line = |finding: &crate::report::Finding| {
            let subjects: Vec<&str> = finding.evidence.iter().map(|evidence| evidence.subject.as_str()).collect();
            format!("{} {} {}: {}", finding.severity, finding.code, finding.subject, subjects.join(", "))
        };
        findings.iter().map(line).collect()
    }

    fn with(forge: Forge) -> Sample {
        Sample::new().elf(LOADER, &Forge::glibc()).elf("/bin/app", &forge)
    }

    fn base() -> Sample {
        with(Forge::dynamic(LOADER))
    }

    #[test]
    fn services_without_library_matter_where_no_other_is_left() {
        let conf = |text: &str| base().text("/etc/nsswitch.conf", 0o644, text);
        assert_eq!(found(&conf("passwd: files\nhosts: files [!UNAVAIL=return] dns # x\n")), Vec::<String>::new());
        // glibc skips them, and no answer changes.
        assert_eq!(
            found(&conf("passwd: files sss\nnetgroup: nis\nhosts: mdns4 [NOTFOUND=return] dns\n")),
            Vec::<String>::new()
        );
        assert_eq!(
            found(&conf("hosts: files resolve [!UNAVAIL=return] dns\npasswd: sss [UNAVAIL=return] files\n")),
            ["warning nss-missing /etc/nsswitch.conf: libnss_sss.so.2, passwd"]
        );
        assert_eq!(
            found(&conf("passwd: ldap\n")),
            ["warning nss-missing /etc/nsswitch.conf: libnss_ldap.so.2, passwd"]
        );
        let library = Forge::library("libnss_ldap.so.2");
        assert_eq!(found(&conf("passwd: ldap\n").elf("/usr/lib/libnss_ldap.so.2", &library)), Vec::<String>::new());
        // Only glibc reads the file.
        assert_eq!(found(&Sample::new().text("/etc/nsswitch.conf", 0o644, "passwd: ldap\n")), Vec::<String>::new());
    }

    #[test]
    fn directories_of_ld_so_conf_are_searched_by_the_cache_only() {
        let sample = || {
            base().text("/etc/ld.so.conf", 0o644, "include /etc/ld.so.conf.d/*.conf\n").text(
                "/etc/ld.so.conf.d/x.conf",
                0o644,
                "# comment\n/usr/lib/x86_64-linux-gnu\n/opt/lib\n",
            )
        };
        let library = Forge::library("libx.so.1");
        assert_eq!(found(&sample()), Vec::<String>::new());
        assert_eq!(
            found(&sample().elf("/opt/lib/libx.so.1", &library)),
            ["warning ld-cache-empty /etc/ld.so.conf: /opt/lib"]
        );
        let empty = [&b"glibc-ld.so.cache1.1"[..], &[0; 28]].concat();
        let cached =
            |cache: &[u8]| sample().elf("/opt/lib/libx.so.1", &library).bytes("/etc/ld.so.cache", 0o644, cache);
        assert_eq!(found(&cached(&empty)), ["warning ld-cache-empty /etc/ld.so.cache: /opt/lib"]);
        let mut one = empty.clone();
        one[20] = 1;
        one.resize(48 + 24 + 8, 0);
        assert_eq!(found(&cached(&one)), Vec::<String>::new());
    }

    #[test]
    fn who_uses_iconv_is_told_that_its_tables_are_absent() {
        let user = || {
            with(Forge { calls: vec!["iconv_open".into()], needed: vec!["libc.so.6".into()], ..Forge::dynamic(LOADER) })
                .elf("/lib/libc.so.6", &Forge { defines: vec!["iconv_open".into()], ..Forge::library("libc.so.6") })
        };
        assert_eq!(found(&user()), ["note gconv-missing /bin/app: gconv"]);
        let tables = "/usr/lib/x86_64-linux-gnu/gconv/gconv-modules";
        assert_eq!(found(&user().text(tables, 0o644, "")), Vec::<String>::new());
    }
}
