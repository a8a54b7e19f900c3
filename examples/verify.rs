//! Verifies a root file system for a platform: `cargo run --example verify -- ROOT PLATFORM`.

use std::error::Error;
use std::io::{self, Write as _};

use sazare::api::Verifier;
use sazare::report::Report;
use sazare::transport::Place;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [root, platform] = arguments.as_slice() else { return Err("usage: verify ROOT PLATFORM".into()) };
    let report = verify(root, platform)?;
    for finding in &report.findings {
        writeln!(io::stdout(), "{}[{}] {}", finding.severity, finding.code, finding.subject)?;
    }
    if report.refuses() { Err("a program could not start".into()) } else { Ok(()) }
}

/// What was found.
pub fn verify(root: &str, platform: &str) -> Result<Report, Box<dyn Error>> {
    Ok(Verifier::new(Place::Rootfs(root.into())).platform(platform.parse()?).run()?.report)
}
