//! Starts container engines and a registry for the tests: each uses a temporary directory, listens on a socket or a free
//! port, and ends with the test. The user's own engines are not used.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;

use crate::outside::{command, missing, must, run};

/// A background program that gets SIGTERM at the end of the test.
struct Daemon {
    child: Child,
    folder: TempDir,
}

impl Daemon {
    /// Starts a command with its output in a file, and waits until it answers.
    fn start(folder: TempDir, mut command: Command, answers: impl Fn(&Path) -> bool) -> Daemon {
        let log = folder.path().join("log");
        let output = fs::File::create(&log).unwrap();
        let child = command.stdin(Stdio::null()).stdout(output.try_clone().unwrap()).stderr(output).spawn();
        let child = child.unwrap_or_else(|error| panic!("cannot start {command:?}: {error}"));
        let mut daemon = Daemon { child, folder };
        for _ in 0..300 {
            if answers(daemon.folder.path()) {
                return daemon;
            }
            if daemon.child.try_wait().unwrap().is_some() {
                break;
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        panic!("{command:?} does not answer:\n{}", fs::read_to_string(&log).unwrap_or_default());
    }

    fn path(&self, name: &str) -> String {
        self.folder.path().join(name).to_str().unwrap().to_owned()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if let Some(pid) = rustix::process::Pid::from_raw(i32::try_from(self.child.id()).unwrap_or(0)) {
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        }
        for _ in 0..100 {
            if matches!(self.child.try_wait(), Ok(Some(_))) {
                return;
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A docker daemon for one test.
pub struct Docker(Daemon);

impl Docker {
    /// Starts it; `None` if docker or root is missing.
    pub fn start() -> Option<Docker> {
        if missing(&["root", "docker", "dockerd", "containerd", "runc"]) {
            return None;
        }
        let folder = tempfile::Builder::new().prefix("docker").tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let mut dockerd = command("dockerd", ["--bridge", "none", "--iptables=false", "--ip6tables=false"]);
        dockerd.args(["--storage-driver", "vfs", "--host"]).arg(format!("unix://{}", at("socket").display()));
        dockerd.arg("--data-root").arg(at("data")).arg("--exec-root").arg(at("exec")).arg("--pidfile").arg(at("pid"));
        let answers = |folder: &Path| run(&mut Docker::client(folder, &["version"])).code == 0;
        Some(Docker(Daemon::start(folder, dockerd, answers)))
    }

    fn client(folder: &Path, arguments: &[&str]) -> Command {
        let mut client = command("docker", ["--host", &format!("unix://{}", folder.join("socket").display())]);
        // The user's own configuration may name contexts and credentials.
        client.env("DOCKER_CONFIG", folder.join("client")).args(arguments);
        client
    }

    /// `docker ARGUMENTS`.
    pub fn docker(&self, arguments: &[&str]) -> Command {
        Docker::client(self.0.folder.path(), arguments)
    }
}

/// A containerd for one test, with its tool `ctr`.
pub struct Containerd(Daemon);

impl Containerd {
    /// Starts it; `None` if containerd or root is missing.
    pub fn start() -> Option<Containerd> {
        if missing(&["root", "containerd", "ctr", "runc"]) {
            return None;
        }
        let folder = tempfile::Builder::new().prefix("containerd").tempdir().unwrap();
        let at = folder.path().display();
        let config = format!(
            "version = 2\nroot = \"{at}/root\"\nstate = \"{at}/state\"\ndisabled_plugins = [\"io.containerd.grpc.v1.cri\"]\n\
             [grpc]\naddress = \"{at}/socket\"\n[ttrpc]\naddress = \"{at}/ttrpc\"\n"
        );
        fs::write(folder.path().join("config.toml"), config).unwrap();
        let containerd = command("containerd", ["--config", &format!("{at}/config.toml")]);
        let answers =
            |folder: &Path| run(command("ctr", ["--address"]).arg(folder.join("socket")).arg("version")).code == 0;
        Some(Containerd(Daemon::start(folder, containerd, answers)))
    }

    /// `ctr ARGUMENTS`.
    pub fn ctr(&self, arguments: &[&str]) -> Command {
        let mut ctr = command("ctr", ["--address", &self.0.path("socket")]);
        ctr.args(arguments);
        ctr
    }
}

/// A registry for one test.
pub struct Registry {
    /// Its address, as `127.0.0.1:PORT`.
    pub host: String,
    _daemon: Daemon,
}

impl Registry {
    /// Starts it; `None` if docker-registry is missing.
    pub fn start() -> Option<Registry> {
        if missing(&["docker-registry"]) {
            return None;
        }
        let folder = tempfile::Builder::new().prefix("registry").tempdir().unwrap();
        // A free port, released so that the registry can use it.
        let host = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
        let data = folder.path().join("data");
        let config = format!(
            "version: 0.1\nlog: {{level: error}}\nstorage: {{filesystem: {{rootdirectory: {}}}}}\nhttp: {{addr: \"{host}\"}}\n",
            data.display()
        );
        let file = folder.path().join("config.yml");
        fs::write(&file, config).unwrap();
        let registry = command("docker-registry", ["serve"].map(AsRef::<Path>::as_ref).into_iter().chain([&*file]));
        let daemon = Daemon::start(folder, registry, |_| TcpStream::connect(&host).is_ok());
        Some(Registry { host, _daemon: daemon })
    }
}

/// podman or buildah with a separate store; they have no daemon.
pub struct Store(TempDir);

impl Store {
    /// An empty store; `None` if a tool or root is missing.
    pub fn new(tool: &str) -> Option<Store> {
        if missing(&["root", tool, "runc"]) {
            return None;
        }
        Some(Store(tempfile::Builder::new().prefix(tool).tempdir().unwrap()))
    }

    fn tool(&self, tool: &str) -> Command {
        let mut command = command(tool, ["--storage-driver", "vfs", "--root"]);
        command.arg(self.0.path().join("root")).arg("--runroot").arg(self.0.path().join("run"));
        command
    }

    /// `podman ARGUMENTS`.
    pub fn podman(&self, arguments: &[&str]) -> Command {
        let mut podman = self.tool("podman");
        podman.args(["--cgroup-manager", "cgroupfs", "--runtime", "runc", "--events-backend", "file"]);
        podman.args(arguments);
        podman
    }

    /// `podman run` without a network, with limits that an ordinary machine allows.
    pub fn podman_run(&self, arguments: &[&str]) -> String {
        let mut podman = self.podman(&["run", "--rm", "--network", "none"]);
        must(podman.args(["--ulimit", "nofile=1024:1024", "--ulimit", "nproc=1024:1024"]).args(arguments))
    }

    /// `buildah ARGUMENTS`.
    pub fn buildah(&self, arguments: &[&str]) -> Command {
        let mut buildah = self.tool("buildah");
        buildah.args(arguments);
        buildah
    }
}
