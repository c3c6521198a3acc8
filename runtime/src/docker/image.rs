//! Names of images, each in one form: `debian`, `docker.io/library/debian` and `debian:latest` are one image, and rules see one
//! name for it.

/// An image's name in the form that people write, with its tag or digest: `debian:12`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Image {
    text: String,
    tag_at: usize,
}

/// Why it is none.
pub(super) const NO_IMAGE: &str = "write an image as [REGISTRY/]NAME[:TAG] or NAME@sha256:DIGEST, in lower case but for the tag; numbers of images are not taken";

impl Image {
    /// Reads a name.
    ///
    /// An image's number is none: no rule could be written about it.
    pub(super) fn read(text: &str) -> Option<Image> {
        let (name, digest) = match text.split_once('@') {
            Some((name, digest)) => (name, Some(digest)),
            None => (text, None),
        };
        let last = name.rfind('/').map_or(0, |at| at + 1);
        let (name, tag) = match name.get(last..)?.split_once(':') {
            Some((_, tag)) => (name.get(..name.len() - tag.len() - 1)?, Some(tag)),
            None => (name, None),
        };
        let name = name.strip_prefix("docker.io/").or(name.strip_prefix("index.docker.io/")).unwrap_or(name);
        let name = name.strip_prefix("library/").filter(|rest| !rest.contains('/')).unwrap_or(name);
        let mut parts = name.split('/').enumerate();
        let good = parts.all(|(at, part)| is_part(part) || at == 0 && name.contains('/') && is_registry(part));
        if !good || name.len() > 255 || is_hex(name, 64) || name == "sha256" {
            return None;
        }
        let suffix = match (tag, digest) {
            // With both the digest decides, and the tag says something that may not be so.
            (Some(_), Some(_)) => return None,
            (None, Some(digest)) if digest.strip_prefix("sha256:").is_some_and(|hex| is_hex(hex, 64)) => {
                format!("@{digest}")
            }
            (None, Some(_)) => return None,
            (Some(tag), None) if is_tag(tag) => format!(":{tag}"),
            (Some(_), None) => return None,
            (None, None) => ":latest".to_owned(),
        };
        Some(Image { text: format!("{name}{suffix}"), tag_at: name.len() })
    }

    /// The whole name.
    pub(super) fn as_str(&self) -> &str {
        &self.text
    }

    /// The name, and its tag or digest.
    pub(super) fn parts(&self) -> (&str, &str) {
        let (name, tag) = self.text.split_at_checked(self.tag_at).unwrap_or((&self.text, ""));
        (name, tag.get(1..).unwrap_or_default())
    }
}

fn is_hex(text: &str, length: usize) -> bool {
    text.len() == length && text.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
}

/// Letters, digits, and single separators between them.
fn is_part(part: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let ends = part.bytes().next().is_some_and(plain) && part.bytes().last().is_some_and(plain);
    ends && part.bytes().all(|byte| plain(byte) || b"._-".contains(&byte))
        && !part.contains("..")
        && !part.contains("___")
}

/// The first part names a registry where it has a dot or a port, or is this host.
fn is_registry(part: &str) -> bool {
    let (host, port) = part.split_once(':').map_or((part, None), |(host, port)| (host, Some(port)));
    let number = port.is_none_or(|port| port.parse::<u16>().is_ok() && port.bytes().all(|byte| byte.is_ascii_digit()));
    number && is_part(host)
}

fn is_tag(tag: &str) -> bool {
    let word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    let begins = tag.bytes().next().is_some_and(word);
    begins && tag.len() <= 128 && tag.bytes().all(|byte| word(byte) || b".-".contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_image_has_one_name() {
        let digest = format!("debian@sha256:{}", "a".repeat(64));
        for (text, name) in [
            ("debian", "debian:latest"),
            ("debian:12", "debian:12"),
            ("library/debian:12", "debian:12"),
            ("docker.io/debian:12", "debian:12"),
            ("docker.io/library/debian:12", "debian:12"),
            ("index.docker.io/library/debian:12", "debian:12"),
            ("docker.io/a/b", "a/b:latest"),
            ("registry.example.com:5000/a/b:v1.0_x", "registry.example.com:5000/a/b:v1.0_x"),
            ("localhost:5000/a", "localhost:5000/a:latest"),
            (&digest, &digest),
        ] {
            let image = Image::read(text).unwrap();
            assert_eq!(image.as_str(), name, "{text}");
            assert_eq!(Image::read(name), Some(image), "it is its own name");
        }
        assert_eq!(Image::read("registry.example.com:5000/a:1").unwrap().parts(), ("registry.example.com:5000/a", "1"));
    }

    #[test]
    fn what_has_no_one_reading_is_no_image() {
        let (number, both) = ("a".repeat(64), format!("debian:12@sha256:{}", "a".repeat(64)));
        for text in [
            "",
            "Debian",
            "debian:",
            ":12",
            "a//b",
            "/a",
            "a/",
            "a b",
            "a?b",
            "a%2f",
            "../a",
            "a/../b",
            "-a",
            "a-",
            "debian:1:2",
            "sha256:aaaa",
            "debian@sha256:aa",
            "debian@md5:aa",
            "debian:-1",
            "a:99999999/b",
            &number,
            &both,
        ] {
            assert_eq!(Image::read(text), None, "{text}");
        }
    }
}
