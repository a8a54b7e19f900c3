//! Four times as much takes about four times the work, and not sixteen times: instructions are counted, not time.
//!
//! Generated recipes have a hundred thousand entries, and an archive from elsewhere can have any number of anything. What
//! the work grows with is seen from two sizes.

use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::outside::{SAZARE, command, missing, run, used};

/// The smaller of the two sizes.
const FEW: usize = 250;

/// How many instructions `sazare` takes; how it ends does not matter here.
fn instructions(folder: &Path, arguments: &str) -> f64 {
    let mut valgrind = command("valgrind", ["--tool=callgrind", "--callgrind-out-file=/dev/null", SAZARE]);
    valgrind.args(arguments.split_whitespace()).args(["-q", "--jobs", "1"]).current_dir(folder);
    let answer = run(&mut valgrind);
    let count =
        answer.err.split_once("Collected : ").map(|(_, rest)| rest.split_whitespace().next().unwrap_or_default());
    count.and_then(|count| count.parse().ok()).unwrap_or_else(|| panic!("nothing was counted: {}", answer.err))
}

/// Scripts that nothing can start.
fn broken(folder: &Path, size: usize) {
    for number in 0..size {
        let file = folder.join(format!("d{number}/script"));
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(&file, "#!/gone\n").unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
    }
}

/// Checks how the work grows with what `make` puts into the folder. `start` is what a run takes that has nothing to do.
fn grows_evenly(what: &str, arguments: &str, start: f64, make: impl Fn(&Path, usize)) {
    let [few, many] = [FEW, 4 * FEW].map(|size| {
        let folder = tempfile::tempdir().unwrap();
        make(folder.path(), size);
        instructions(folder.path(), arguments) - start
    });
    assert!(many / few < 5.5, "{what}: four times as many take {:.1} times the work: {few} and {many}", many / few);
}

fn recipe(entry: impl Fn(usize) -> String) -> impl Fn(&Path, usize) {
    move |folder, size| {
        let mut text = String::from("name = \"localhost/growth\"\nplatforms = [\"linux/amd64\"]\n");
        for number in 0..size {
            let _ = writeln!(text, "{}", entry(number));
        }
        fs::write(folder.join("r.toml"), text).unwrap();
    }
}

#[test]
fn recipes_with_many_entries_take_work_in_proportion() {
    if missing(&["valgrind"]) {
        return;
    }
    let build = "build r.toml -o x.tar --no-cache";
    let folder = tempfile::tempdir().unwrap();
    recipe(|_| String::new())(folder.path(), 0);
    let start = instructions(folder.path(), build);
    let path = |number| format!("[[path]]\npath = \"/d/f{number}\"\ntype = \"file\"\ntext = \"x\"");
    grows_evenly("[[path]]", build, start, recipe(path));
    let rules = |number| {
        let file = path(number).replace("/d/", &format!("/d{number}/"));
        let change = "type = \"permissions\"\nmode = \"0700\"";
        format!(
            "{file}\n[[path]]\npath = \"/d{number}\"\nrecursive = true\n{change}\n[[path]]\npath = \"/d{number}/*\"\n{change}\n\
             [[path]]\npath = \"/d{number}/f*\"\ntype = \"remove\""
        )
    };
    grows_evenly("rules for what is there", build, start, recipe(rules));
    let user = |number| match number {
        0 => "[[group]]\nname = \"all\"\ngid = 99".to_string(),
        _ => format!("[[user]]\nname = \"u{number}\"\nuid = {}\ngroups = [\"all\"]", 1000 + number),
    };
    grows_evenly("[[user]]", build, start, recipe(user));
    let group = |number| format!("[[group]]\nname = \"g{number}\"\ngid = {}\nmembers = [\"a\"]", 1000 + number);
    grows_evenly("[[group]]", build, start, recipe(group));
    grows_evenly("faults", build, start, recipe(|number| format!("[[path]]\npth = \"/x{number}\"")));
    grows_evenly("the same value twice", build, start, recipe(|_| "[[user]]\nname = \"u\"\nuid = 7".to_string()));
    let list = |folder: &Path, size: usize| {
        let tags: Vec<String> = (0..size).map(|number| format!("\"t{number}\"")).collect();
        let text =
            format!("name = \"localhost/growth\"\nplatforms = [\"linux/amd64\"]\ntags = [{}]\n", tags.join(", "));
        fs::write(folder.join("r.toml"), text).unwrap();
    };
    grows_evenly("tags", build, start, list);
}

#[test]
fn reports_as_data_take_little_more_memory_than_those_for_people() {
    if missing(&["/usr/bin/python3"]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    broken(&folder.path().join("root"), 4000);
    let peak = |format: &str| {
        let verify = ["verify", "rootfs:root", "--platform", "linux/amd64", "--format", format];
        let used = used(folder.path(), &[&[SAZARE][..], &verify].concat());
        assert_eq!(used.code, 0, "{format}");
        used.memory
    };
    let (human, sarif, json) = (peak("human"), peak("sarif"), peak("json"));
    assert!(sarif < human + (16 << 20) && json < human + (16 << 20), "{human} {sarif} {json}");
}
