//! Texts of a recipe that have a form of their own: sizes, times, owners, paths with placeholders.

use super::fault::Fault;
use super::glob::Globs;
use super::nearest::nearest;
use super::section::{Placed, Section};
use super::template::Template;
use crate::path::ImagePath;
use crate::platform::{Arch, Platform};

/// The placeholders that are filled in.
const PLACEHOLDERS: [&str; 4] = ["os", "arch", "variant", "platform"];

/// `UID:GID`.
pub(crate) fn owner(text: &str) -> Option<(u32, u32)> {
    let id = |text: &str| match text.parse() {
        Ok(id) if id != u32::MAX && text.bytes().all(|byte| byte.is_ascii_digit()) => Some(id),
        _ => None,
    };
    let (uid, gid) = text.split_once(':')?;
    Some((id(uid)?, id(gid)?))
}

/// A size in bytes: a number, alone or with a unit of 1000 (`kB`, `MB`, `GB`) or 1024 (`KiB`, `MiB`, `GiB`).
pub fn size(text: &str) -> Option<u64> {
    let text = text.trim();
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let factor = match unit.trim_start() {
        "" | "B" => 1,
        "kB" | "KB" => 1000,
        "MB" => 1000 * 1000,
        "GB" => 1000 * 1000 * 1000,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(factor)
}

/// A length of time in nanoseconds, as Go writes it: `500ms`, `1m30s`.
pub(crate) fn duration(text: &str) -> Option<u64> {
    let mut total: u64 = 0;
    let mut rest = text;
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let number: u64 = rest[..digits].parse().ok()?;
        rest = &rest[digits..];
        let units: [(&str, u64); 6] = [
            ("ns", 1),
            ("us", 1000),
            ("ms", 1_000_000),
            ("s", 1_000_000_000),
            ("m", 60_000_000_000),
            ("h", 3_600_000_000_000),
        ];
        let (unit, factor) = units.into_iter().find(|(unit, _)| rest.starts_with(unit))?;
        rest = &rest[unit.len()..];
        total = total.checked_add(number.checked_mul(factor)?)?;
    }
    // Docker keeps it in a signed number.
    if text.is_empty() || i64::try_from(total).is_err() { None } else { Some(total) }
}

/// Whether a text can be a user's or a group's name in `/etc/passwd`, as useradd takes it.
pub(crate) fn is_account_name(text: &str) -> bool {
    let body = text.strip_suffix('$').unwrap_or(text);
    let letter = |byte: u8| byte.is_ascii_alphabetic() || byte == b'_';
    text.len() <= 32
        && body.bytes().next().is_some_and(letter)
        && body.bytes().all(|byte| letter(byte) || byte.is_ascii_digit() || byte == b'.' || byte == b'-')
}

/// The bytes of an extended attribute's value: a text, or `0x` with hexadecimal digits.
pub(crate) fn attribute_value(text: &str) -> Option<Box<[u8]>> {
    let Some(digits) = text.strip_prefix("0x") else { return Some(text.as_bytes().into()) };
    let digit = |byte: u8| char::from(byte).to_digit(16).map(|digit| digit as u8);
    let pairs = digits.as_bytes().chunks(2).map(|pair| match *pair {
        [high, low] => Some(digit(high)? << 4 | digit(low)?),
        _ => None,
    });
    pairs.collect()
}

impl<'a> Section<'a> {
    /// A text of a key in which placeholders are filled in; one that does not exist is a fault.
    pub(crate) fn template(&self, name: &'static str) -> Option<Placed<Template>> {
        let text = self.text(name)?;
        self.check_placeholders(&text);
        if text.value.is_empty() {
            self.fault(Fault::new(&text.place, format!("`{name}` is empty")));
            return None;
        }
        Some(Placed { value: Template::new(text.value), place: text.place })
    }

    /// A path of the image, in which placeholders are filled in.
    pub(crate) fn image_template(&self, name: &'static str) -> Option<Placed<Template>> {
        let template = self.template(name)?;
        self.check_image_path(&template).then_some(template)
    }

    /// A path of the image.
    pub(crate) fn image_path(&self, name: &'static str) -> Option<ImagePath> {
        let text = self.text(name)?;
        let template = Placed { value: Template::new(text.value), place: text.place.clone() };
        if !self.check_image_path(&template) {
            return None;
        }
        self.reader.good(&text.place, text.value.parse())
    }

    /// Whether a text is an absolute path, on every platform.
    pub(crate) fn check_image_path(&self, template: &Placed<Template>) -> bool {
        if !template.value.as_str().starts_with('/') {
            let fault = Fault::new(&template.place, "a path in the image starts with `/`");
            let absolute = format!("/{}", template.value.as_str().trim_start_matches("./"));
            self.fault(match absolute.parse::<ImagePath>() {
                Ok(_) => fault.help(format!("write \"{absolute}\"")),
                Err(_) => fault,
            });
            return false;
        }
        // The longest of the words that can be filled in, so that what is too long is reported here.
        let platform = "linux/arm64/v8".parse::<Platform>().unwrap_or_else(|_| Platform::new(Arch::Arm64));
        let filled = template.value.fill_in(&platform);
        self.reader.good(&template.place, filled.parse::<ImagePath>()).is_some()
    }

    /// The globs of a key. One that is none is a fault.
    pub(crate) fn globs(&self, name: &'static str) -> Globs {
        let texts = self.texts(name).unwrap_or_default();
        let mut good = Vec::new();
        for text in texts {
            self.check_placeholders(&Placed { value: text.value.as_str(), place: text.place.clone() });
            if self.reader.good(&text.place, Globs::new([&text.value])).is_some() {
                good.push(text.value);
            }
        }
        Globs::new(good).unwrap_or_default()
    }

    /// Braces around a single word can only be a placeholder; one that does not exist would stay in the text.
    fn check_placeholders(&self, text: &Placed<&str>) {
        for (at, _) in text.value.match_indices('{') {
            if text.value[..at].ends_with('$') {
                continue;
            }
            let rest = &text.value[at + 1..];
            let word = rest.split('}').next().unwrap_or_default();
            let closed = rest.len() > word.len();
            let plain = !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_lowercase());
            if closed && plain && !PLACEHOLDERS.contains(&word) {
                let fault = Fault::new(&text.place, format!("unknown placeholder `{{{word}}}`"));
                let meant = nearest(word, PLACEHOLDERS);
                self.fault(match meant {
                    Some(meant) => fault.help(format!("did you mean `{{{meant}}}`?")),
                    None => fault.help("the placeholders are {os}, {arch}, {variant} and {platform}"),
                });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn owners() {
        assert_eq!(owner("0:0"), Some((0, 0)));
        assert_eq!(owner("1000:4294967294"), Some((1000, 4_294_967_294)));
        for text in ["", "0", "0:", "a:b", "0:4294967295", "+1:0", "0:0:0"] {
            assert_eq!(owner(text), None, "{text}");
        }
    }

    #[test]
    fn sizes() {
        for (text, bytes) in [("5", 5), ("5 MB", 5_000_000), ("512KiB", 524_288), ("1 GiB", 1 << 30), ("0B", 0)] {
            assert_eq!(size(text), Some(bytes), "{text}");
        }
        for text in ["", "MB", "5 mb", "-1", "1.5 GB", "18446744073709551616", "99999999999 GB"] {
            assert_eq!(size(text), None, "{text}");
        }
    }

    #[test]
    fn durations() {
        for (text, nanoseconds) in [("30s", 30_000_000_000), ("1m30s", 90_000_000_000), ("5ms", 5_000_000)] {
            assert_eq!(duration(text), Some(nanoseconds), "{text}");
        }
        for text in ["", "30", "s", "30 s", "1d", "-1s", "9999999999999h", "1sé"] {
            assert_eq!(duration(text), None, "{text}");
        }
    }

    #[test]
    fn account_names() {
        for text in ["root", "_apt", "www-data", "a.b", "host$"] {
            assert!(is_account_name(text), "{text}");
        }
        for text in ["", "0", "-a", "a:b", "a b", "$", "a\n", &"a".repeat(33)] {
            assert!(!is_account_name(text), "{text}");
        }
    }

    #[test]
    fn values_of_attributes() {
        assert_eq!(attribute_value("text").as_deref(), Some(b"text".as_slice()));
        assert_eq!(attribute_value("0x00fF").as_deref(), Some([0, 255].as_slice()));
        assert_eq!(attribute_value("0x0"), None);
        assert_eq!(attribute_value("0xzz"), None);
    }
}
