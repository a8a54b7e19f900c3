//! Builds an image of a root file system for a platform:
//! `cargo run --example build -- ROOT PLATFORM PLACE`, such as `rootfs linux/amd64 oci:layout`.

use std::error::Error;
use std::io::{self, Write as _};

use sazare::api::ImageBuilder;
use sazare::pipeline::Outcome;
use sazare::transport::Place;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [root, platform, place] = arguments.as_slice() else { return Err("usage: build ROOT PLATFORM PLACE".into()) };
    Ok(writeln!(io::stdout(), "{}", build(root, platform, place)?)?)
}

/// The digest of the image.
pub fn build(root: &str, platform: &str, place: &str) -> Result<String, Box<dyn Error>> {
    let builder = ImageBuilder::from_folder(root).platform(platform.parse()?).output(Place::for_writing(place)?);
    match builder.run()? {
        Outcome::Built(built) => Ok(built.image.map(|(digest, _)| digest.to_string()).unwrap_or_default()),
        Outcome::Refused(checked) => Err(format!("refused: {:#?}", checked.report.findings).into()),
    }
}
