//! A bug of ours: one line that says where to report it, and an exit code of its own.

use std::panic::{PanicHookInfo, UnwindSafe, catch_unwind, set_hook};
use std::sync::atomic::{AtomicBool, Ordering};

use sazare::path::display_bytes;

/// Where bugs are reported.
const ISSUES: &str = concat!(env!("CARGO_PKG_REPOSITORY"), "/issues");

/// Runs the program; `None` when it ended with a panic, which was printed.
pub fn caught<T>(run: impl FnOnce() -> T + UnwindSafe) -> Option<T> {
    set_hook(Box::new(print));
    catch_unwind(run).ok()
}

fn print(info: &PanicHookInfo<'_>) {
    use std::io::Write;

    // The first one is the cause of all others.
    static PRINTED: AtomicBool = AtomicBool::new(false);
    if !PRINTED.swap(true, Ordering::Relaxed) {
        let at = info.location().map(|at| format!("{}:{}", at.file(), at.line())).unwrap_or_default();
        let payload = info.payload();
        let message = payload.downcast_ref::<&str>().copied();
        let message = message.or(payload.downcast_ref::<String>().map(String::as_str));
        let _ = std::io::stderr().lock().write_all(line(&at, message.unwrap_or_default()).as_bytes());
    }
}

fn line(at: &str, message: &str) -> String {
    format!("error: a bug in sazare at {at}: {}; please report it: {ISSUES}\n", display_bytes(message.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_one_line_that_says_where_to_report_it() {
        let expected = "error: a bug in sazare at src/a.rs:7: a\\x0ab; please report it: \
                        https://github.com/Kazuki-0731/sazare/issues\n";
        assert_eq!(line("src/a.rs:7", "a\nb"), expected);
    }

    /// Run by the next test in a process of its own.
    #[test]
    #[ignore = "ends its process"]
    #[expect(clippy::disallowed_methods, reason = "a process of its own, which must end with the code of a bug")]
    fn panics() {
        let ended = caught(|| {
            std::thread::scope(|scope| {
                scope.spawn(|| panic!("the first\n::error::one")).join().unwrap();
            });
        });
        std::process::exit(if ended.is_none() { 70 } else { 0 });
    }

    #[test]
    fn a_process_that_panics_prints_one_line() {
        let mut child = std::process::Command::new(std::env::current_exe().unwrap());
        let child = child.args(["--exact", "cli::bug::tests::panics", "--ignored", "--nocapture"]).output().unwrap();
        let said = String::from_utf8(child.stderr).unwrap();
        assert_eq!(child.status.code(), Some(70), "{said}");
        assert_eq!(said.lines().count(), 1, "{said}");
        assert!(said.starts_with("error: a bug in sazare at src/cli/bug.rs:"), "{said}");
        assert!(said.contains(": the first\\x0a::error::one; please report it: https://"), "{said}");
    }
}
