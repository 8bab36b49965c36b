//! Package URLs: names that packages have everywhere.

use std::fmt::Write as _;

/// Returns a package URL as ECMA-427 writes it. `path` is its type, namespace and name; the
/// qualifiers are sorted.
pub fn package_url(path: &[&str], version: &str, qualifiers: &[(&str, &str)]) -> String {
    let path: Vec<String> = path.iter().map(|part| encoded(part)).collect();
    let mut purl = format!("pkg:{}@{}", path.join("/"), encoded(version));
    for (index, (key, value)) in qualifiers.iter().enumerate() {
        let mark = if index == 0 { '?' } else { '&' };
        write!(purl, "{mark}{key}={}", encoded(value)).expect("writing to a String cannot fail");
    }
    purl
}

/// Encodes all but what ECMA-427 leaves as it is; others write a version's `+` as it is, which some
/// readers take for a space.
fn encoded(text: &str) -> String {
    text.bytes().fold(String::new(), |mut encoded, byte| {
        match byte {
            b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' | b'.' | b'-' | b'_' | b'~' | b':' => {
                encoded.push(char::from(byte));
            }
            _ => write!(encoded, "%{byte:02X}").expect("writing to a String cannot fail"),
        }
        encoded
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn package_urls_are_encoded() {
        let qualifiers = [("arch", "amd64"), ("distro", "bookworm")];
        for (path, version, qualifiers, expected) in [
            (
                &["deb", "debian", "libstdc++6"][..],
                "1:12.2.0-14+deb12u1~x",
                &qualifiers[..],
                "pkg:deb/debian/libstdc%2B%2B6@1:12.2.0-14%2Bdeb12u1~x?arch=amd64&distro=bookworm",
            ),
            (
                &["pypi", "torch"],
                "2.9.0+cpu",
                &[],
                "pkg:pypi/torch@2.9.0%2Bcpu",
            ),
        ] {
            assert_eq!(package_url(path, version, qualifiers), expected);
        }
    }
}
