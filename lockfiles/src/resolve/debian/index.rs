//! A packages index in a form that answers questions without being read as a whole.
//!
//! Reading the 63,000 paragraphs of a suite costs seconds; a resolution wants a few hundred of them. So
//! the text is cut down once to the fields that matter, sorted by name, and kept with two tables over
//! it; afterwards a question costs a binary search.
//!
//! On disk, integers being 32 bits, little endian:
//!
//! ```text
//! "envbox packages 1\n" <sha256 of everything after it, 64 hex digits>
//! <number of paragraphs> <number of provided names> <length of the text>
//! paragraphs: <begin> <end>, places in the text, sorted by package name
//! provided:   <begin> <end> <number of the paragraph>, sorted by the name at that place
//! text: "Package: …\nVersion: …\n…"
//! ```
//!
//! Changing what is kept or how needs another number in the first line; files of other numbers are made
//! anew.

use std::ops::Range;

use deb822_fast::borrowed::{BorrowedParagraph, BorrowedParser};

use crate::base::Digest;

const MAGIC: &[u8] = b"envbox packages 1\n";

/// Bytes before the tables: magic, digest, three numbers.
const HEADER: usize = MAGIC.len() + 64 + 12;

/// What is kept, in this order. `Package` must be first: [`Index::name`] reads it from the text.
const FIELDS: [&str; 12] = [
    "Package",
    "Version",
    "Architecture",
    "Multi-Arch",
    "Priority",
    PROVIDES,
    "Pre-Depends",
    "Depends",
    "Conflicts",
    "Breaks",
    "Filename",
    "Size",
];

const PACKAGE: &str = "Package: ";
const PROVIDES: &str = "Provides";

/// Kept apart from [`FIELDS`] because it is stored in the same way but compared nowhere.
const DIGEST: &str = "SHA256";

/// A packages index, ready for questions.
pub(super) struct Index {
    bytes: Vec<u8>,
    paragraphs: usize,
    provided: usize,
}

/// A place in the text.
type Place = (u32, u32);

/// A paragraph on its way into the text.
struct Entry<'a> {
    name: &'a str,
    /// What is kept of it.
    kept: Range<usize>,
    /// The places of the names it provides, counted from where it begins.
    provided: Vec<Range<usize>>,
}

impl Index {
    /// Cuts down `packages`, the text of a `Packages` file, to the form on disk.
    ///
    /// Returns none when it is not a text of paragraphs that each name a package.
    pub(super) fn build(packages: &str) -> Option<Vec<u8>> {
        let mut kept = String::with_capacity(packages.len() / 2);
        let mut entries: Vec<Entry<'_>> = Vec::new();
        // Piece by piece, because the fields of all paragraphs at once take twice the memory of the text.
        for piece in packages.split("\n\n") {
            for paragraph in BorrowedParser::new(piece).parse_all().ok()? {
                let begin = kept.len();
                let provided = keep(&paragraph, &mut kept);
                entries.push(Entry {
                    name: paragraph.get_single("Package")?,
                    kept: begin..kept.len(),
                    provided,
                });
            }
        }
        // Stable, so that several versions of a package keep the archive's order.
        entries.sort_by_key(|entry| entry.name);
        let mut table: Vec<Place> = Vec::with_capacity(entries.len());
        let mut provided: Vec<(&str, u32, Place)> = Vec::new();
        let mut begin = 0;
        for (number, entry) in entries.iter().enumerate() {
            let text = &kept[entry.kept.clone()];
            for name in &entry.provided {
                let place = place(begin + name.start..begin + name.end)?;
                provided.push((&text[name.clone()], u32::try_from(number).ok()?, place));
            }
            table.push(place(begin..begin + text.len())?);
            begin += text.len();
        }
        provided.sort();
        let texts = entries.iter().map(|entry| &kept[entry.kept.clone()]);
        Some(assemble(
            &table,
            &provided,
            texts,
            u32::try_from(begin).ok()?,
        ))
    }

    /// Takes bytes made by [`Index::build`]. Returns none when they are not whole, or of another
    /// version.
    pub(super) fn load(bytes: Vec<u8>) -> Option<Self> {
        let rest = bytes.strip_prefix(MAGIC)?;
        let (digest, rest) = rest.split_first_chunk::<64>()?;
        if Digest::of(rest).hex().as_bytes() != digest {
            return None;
        }
        let number = |at: usize| -> Option<usize> {
            let four = rest.get(at * 4..at * 4 + 4)?;
            Some(u32::from_le_bytes(four.try_into().ok()?) as usize)
        };
        let (paragraphs, provided, text) = (number(0)?, number(1)?, number(2)?);
        let expected = 12 + paragraphs * 8 + provided * 12 + text;
        std::str::from_utf8(&rest[expected.checked_sub(text)?..]).ok()?;
        (rest.len() == expected).then_some(Self {
            bytes,
            paragraphs,
            provided,
        })
    }

    /// Returns the paragraphs of the package `name`.
    pub(super) fn paragraphs(&self, name: &str) -> impl Iterator<Item = &str> {
        let begin = partition(self.paragraphs, |at| self.name(at) < name);
        (begin..self.paragraphs)
            .take_while(move |&at| self.name(at) == name)
            .map(|at| self.paragraph(at))
    }

    /// Returns the names of packages that say they provide `name`, in the order of their names. One
    /// with several versions may come several times.
    pub(super) fn providers(&self, name: &str) -> impl Iterator<Item = &str> {
        let begin = partition(self.provided, |at| self.provided(at).0 < name);
        (begin..self.provided)
            .map(|at| self.provided(at))
            .take_while(move |(provided, _)| *provided == name)
            .map(|(_, paragraph)| self.name(paragraph))
    }

    /// Returns the name of every package, sorted.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        (0..self.paragraphs).map(|at| self.name(at))
    }

    fn name(&self, paragraph: usize) -> &str {
        let text = self.paragraph(paragraph);
        let text = text.strip_prefix(PACKAGE).unwrap_or(text);
        text.split('\n').next().unwrap_or(text)
    }

    fn paragraph(&self, at: usize) -> &str {
        let at = HEADER + at * 8;
        self.text(self.number(at)..self.number(at + 4))
    }

    fn provided(&self, at: usize) -> (&str, usize) {
        let at = HEADER + self.paragraphs * 8 + at * 12;
        let name = self.text(self.number(at)..self.number(at + 4));
        (name, self.number(at + 8))
    }

    fn number(&self, at: usize) -> usize {
        let four = self.bytes[at..at + 4]
            .try_into()
            .expect("a range of four bytes");
        u32::from_le_bytes(four) as usize
    }

    fn text(&self, range: Range<usize>) -> &str {
        let begin = HEADER + self.paragraphs * 8 + self.provided * 12;
        std::str::from_utf8(&self.bytes[begin + range.start..begin + range.end])
            .expect("cut at the ends of lines and words out of a text")
    }
}

/// Appends what is kept of `paragraph` to `text`. Returns the places of the names it provides, counted
/// from where it begins.
fn keep(paragraph: &BorrowedParagraph<'_>, text: &mut String) -> Vec<Range<usize>> {
    // One walk over the thirty fields that a paragraph has, instead of one for each field kept.
    let mut values = [None; FIELDS.len() + 1];
    for field in paragraph.iter() {
        let names = FIELDS.iter().chain([&DIGEST]);
        if let Some(at) = names.into_iter().position(|name| *name == field.name()) {
            values[at] = Some(field);
        }
    }
    let mut provided = Vec::new();
    let origin = text.len();
    for (name, value) in FIELDS.iter().chain([&DIGEST]).zip(values) {
        let Some(value) = value else { continue };
        text.push_str(name);
        text.push_str(": ");
        let begin = text.len();
        for (number, line) in value.lines().iter().enumerate() {
            // Folded lines mean the same as one line (Policy §5.1).
            if number > 0 {
                text.push(' ');
            }
            text.push_str(line.trim());
        }
        if *name == PROVIDES {
            provided = names_in(&text[begin..], begin - origin);
        }
        text.push('\n');
    }
    provided
}

/// Returns the places of the names in a `Provides` value that begins at `begin`.
fn names_in(value: &str, begin: usize) -> Vec<Range<usize>> {
    let mut at = begin;
    let mut places = Vec::new();
    for part in value.split(',') {
        let name = part.trim_start();
        let start = at + part.len() - name.len();
        let length = name.find([' ', '(', ':']).unwrap_or(name.len());
        if length > 0 {
            places.push(start..start + length);
        }
        at += part.len() + 1;
    }
    places
}

fn place(range: Range<usize>) -> Option<Place> {
    Some((
        u32::try_from(range.start).ok()?,
        u32::try_from(range.end).ok()?,
    ))
}

fn assemble<'a>(
    table: &[Place],
    provided: &[(&str, u32, Place)],
    texts: impl Iterator<Item = &'a str>,
    length: u32,
) -> Vec<u8> {
    let size = HEADER + table.len() * 8 + provided.len() * 12 + length as usize;
    let mut bytes = Vec::with_capacity(size);
    bytes.extend_from_slice(MAGIC);
    let digest = bytes.len()..bytes.len() + 64;
    bytes.resize(digest.end, b'0');
    let mut push = |number: u32| bytes.extend_from_slice(&number.to_le_bytes());
    // They fit, as the tables have fewer entries than the text has bytes.
    for length in [table.len(), provided.len()] {
        push(u32::try_from(length).unwrap_or(u32::MAX));
    }
    push(length);
    for (begin, end) in table {
        push(*begin);
        push(*end);
    }
    for (_, number, (begin, end)) in provided {
        push(*begin);
        push(*end);
        push(*number);
    }
    for text in texts {
        bytes.extend_from_slice(text.as_bytes());
    }
    let hex = Digest::of(&bytes[digest.end..]).hex();
    bytes[digest].copy_from_slice(hex.as_bytes());
    bytes
}

/// Returns the first of `0..length` for which `before` is not true; it is true for all before that.
fn partition(length: usize, before: impl Fn(usize) -> bool) -> usize {
    let (mut low, mut high) = (0, length);
    while low < high {
        let middle = low + (high - low) / 2;
        match before(middle) {
            true => low = middle + 1,
            false => high = middle,
        }
    }
    low
}

#[cfg(test)]
mod tests {
    use super::*;

    const PACKAGES: &str = "\
Package: mawk
Version: 1.3.4
Description: a
 long text
Provides: awk
Filename: pool/m.deb

Package: bash
Version: 5.2
Maintainer: somebody
Depends: base-files,
 debianutils

Package: mawk
Version: 1.2
Provides: awk, old-awk (= 1:1.2) , third:any

Package: gawk
Version: 5
Provides: awk (= 2)
";

    fn index() -> Index {
        Index::load(Index::build(PACKAGES).unwrap()).unwrap()
    }

    #[test]
    fn packages_are_found_by_name() {
        let index = index();
        let found: Vec<_> = index.paragraphs("mawk").collect();
        assert_eq!(
            found,
            [
                "Package: mawk\nVersion: 1.3.4\nProvides: awk\nFilename: pool/m.deb\n",
                "Package: mawk\nVersion: 1.2\nProvides: awk, old-awk (= 1:1.2) , third:any\n",
            ]
        );
        let bash: Vec<_> = index.paragraphs("bash").collect();
        assert_eq!(
            bash,
            ["Package: bash\nVersion: 5.2\nDepends: base-files, debianutils\n"]
        );
        for missing in ["", "a", "bas", "bash2", "zsh"] {
            assert_eq!(index.paragraphs(missing).count(), 0, "{missing}");
        }
        let names: Vec<_> = index.names().collect();
        assert_eq!(names, ["bash", "gawk", "mawk", "mawk"]);
    }

    #[test]
    fn providers_are_found_by_name() {
        let index = index();
        let providers = |name| index.providers(name).collect::<Vec<_>>();
        assert_eq!(providers("awk"), ["gawk", "mawk", "mawk"]);
        assert_eq!(providers("old-awk"), ["mawk"]);
        assert_eq!(providers("third"), ["mawk"]);
        assert!(providers("mawk").is_empty());
    }

    #[test]
    fn damaged_files_are_not_taken() {
        let good = Index::build(PACKAGES).unwrap();
        for length in 0..good.len() {
            assert!(Index::load(good[..length].to_vec()).is_none(), "{length}");
        }
        for at in 0..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 1;
            assert!(Index::load(bad).is_none(), "{at}");
        }
        let mut longer = good.clone();
        longer.push(b'\n');
        assert!(Index::load(longer).is_none());
    }

    #[test]
    fn an_index_may_be_empty_but_not_nameless() {
        let empty = Index::load(Index::build("").unwrap()).unwrap();
        assert_eq!(empty.names().count(), 0);
        assert!(Index::build("Version: 1\n").is_none());
        assert!(Index::build("nonsense\n").is_none());
    }

    proptest::proptest! {
        #[test]
        fn an_index_answers_as_a_search_through_the_text_does(
            packages in proptest::collection::vec(("[a-c]{1,2}", "[a-c]{1,2}(, [a-c]{1,2}){0,2}"), 0..20),
            name in "[a-c]{1,2}",
        ) {
            let text: String = packages
                .iter()
                .map(|(package, provides)| format!("Package: {package}\nProvides: {provides}\n\n"))
                .collect();
            let index = Index::load(Index::build(&text).unwrap()).unwrap();
            let provides = |(_, provides): &&(String, String)| provides.split(", ").any(|it| it == name);
            let named = packages.iter().filter(|(package, _)| *package == name);
            let mut providers: Vec<_> = packages.iter().filter(provides).map(|(it, _)| it.as_str()).collect();
            providers.sort();
            providers.dedup();
            let mut found: Vec<_> = index.providers(&name).collect();
            found.dedup();
            proptest::prop_assert_eq!(index.paragraphs(&name).count(), named.count());
            proptest::prop_assert_eq!(found, providers);
        }
    }
}
