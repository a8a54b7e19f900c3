//! Programs that keep credentials: `docker-credential-NAME get`, with the key on standard input and JSON on standard output
//! (docker/docker-credential-helpers). Only the one that a file names for the key is run, and only for so long.

use std::io::{Read, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use serde::Deserialize;

use super::error::{RegistryError, printable};
use super::secret::Secret;
use super::settings::RegistrySettings;

/// The most that a helper may write, in bytes.
const OUTPUT_MAX: u64 = 1 << 20;

/// What a helper writes.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Answer {
    username: String,
    secret: String,
}

/// Asks a helper for user and password; `None` if it has none.
pub(super) fn ask(
    settings: &RegistrySettings,
    name: &str,
    key: &str,
) -> Result<Option<(String, Secret)>, RegistryError> {
    let program = format!("docker-credential-{name}");
    let fault = |fault: String| RegistryError::Helper { program: program.clone(), key: key.to_string(), fault };
    if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte)) {
        return Err(fault("not the name of a program".into()));
    }
    let path = settings.programs.iter().map(|folder| folder.join(&program)).find(|path| path.is_file());
    let path = path.ok_or_else(|| fault("it is not in PATH".into()))?;
    let mut child = Command::new(path)
        .arg("get")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .process_group(0)
        .spawn()
        .map_err(|error| fault(error.to_string()))?;
    if let Some(mut input) = child.stdin.take() {
        // Who does not read it says so with its exit code.
        let _ = input.write_all(key.as_bytes());
    }
    let output = match read(&mut child, settings.patience.helper) {
        Ok(output) => output,
        Err(text) => {
            end(&mut child);
            return Err(fault(text));
        }
    };
    let status = child.wait().map_err(|error| fault(error.to_string()))?;
    if !status.success() {
        let said = printable(&String::from_utf8_lossy(&output));
        // The words of docker-credential-helpers for "none": there is no code for it.
        return if said.contains("credentials not found") { Ok(None) } else { Err(fault(format!("{status}: {said}"))) };
    }
    // What it wrote is not printed: it may contain the password.
    let answer: Answer =
        serde_json::from_slice(&output).map_err(|_| fault("its answer is not the JSON of a helper".into()))?;
    Ok(Some((answer.username, Secret::new(answer.secret))))
}

fn read(child: &mut Child, limit: Duration) -> Result<Vec<u8>, String> {
    let output = child.stdout.take().ok_or("it has no output")?;
    let (send, receive) = sync_channel(1);
    let thread = std::thread::Builder::new().name("helper".into()).spawn(move || {
        let mut bytes = Vec::new();
        let read = output.take(OUTPUT_MAX).read_to_end(&mut bytes);
        let _ = send.send(read.map(|_| bytes));
    });
    let thread = thread.map_err(|error| error.to_string())?;
    let result = match receive.recv_timeout(limit) {
        Ok(read) => read.map_err(|error| error.to_string()),
        Err(RecvTimeoutError::Timeout) => return Err(format!("no answer within {} s", limit.as_secs_f32())),
        Err(RecvTimeoutError::Disconnected) => Err("its output cannot be read".into()),
    };
    // It has sent its last, so this does not wait. A process that forks later must have one thread.
    let _ = thread.join();
    result
}

/// Ends the helper and what it started.
fn end(child: &mut Child) {
    if let Some(group) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) {
        let _ = kill_process_group(group, Signal::KILL);
    }
    let _ = child.wait();
}
