//! Files that are broken or made to do harm.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use envbox_explain::{Difference, Diffoscope, Explanation, Limits, explain};

fn fixtures() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../fixtures/explain/old")
}

/// Numbers that look like chance and are the same each time (a linear congruential generator).
struct Chance(u64);

impl Chance {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        usize::try_from(self.0 >> 33).unwrap() % bound
    }
}

fn compared(directory: &Path, name: &str, content: &[u8], limits: &Limits) -> Explanation {
    let path = directory.join(name);
    fs::write(&path, content).unwrap();
    explain(&fixtures().join(name), &path, limits).unwrap()
}

fn limits() -> Limits {
    Limits {
        unpacked: 8 << 20,
        in_memory: 8 << 20,
        ..Limits::default()
    }
}

/// Whatever is cut or turned over, there is an answer, and it says that something differs.
#[test]
fn broken_files_are_still_compared() {
    let directory = tempfile::tempdir().unwrap();
    let mut chance = Chance(7);
    let mut broken = 0;
    for entry in fs::read_dir(fixtures()).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let whole = fs::read(fixtures().join(&name)).unwrap();
        for _ in 0..12 {
            let mut content = whole[..chance.below(whole.len())].to_vec();
            let cut = compared(directory.path(), &name, &content, &limits());
            assert!(!cut.same && !cut.differences.is_empty(), "{name} cut");
            content.clone_from(&whole);
            for _ in 0..=chance.below(3) {
                // Headers are where the harm is.
                let near = if chance.below(2) == 0 {
                    whole.len().min(256)
                } else {
                    whole.len()
                };
                content[chance.below(near)] ^= 1 << chance.below(8);
            }
            let flipped = compared(directory.path(), &name, &content, &limits());
            assert!(flipped.same == (content == whole), "{name} flipped");
            assert_eq!(
                flipped.same,
                flipped.differences.is_empty(),
                "{name} flipped"
            );
            broken += 2;
        }
    }
    assert!(broken > 1000);
}

#[test]
fn two_broken_files_are_still_compared() {
    let directory = tempfile::tempdir().unwrap();
    for entry in fs::read_dir(fixtures()).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let whole = fs::read(fixtures().join(&name)).unwrap();
        let paths = [whole.len() / 2, whole.len() * 2 / 3].map(|length| {
            let path = directory.path().join(format!("{length}-{name}"));
            fs::write(&path, &whole[..length]).unwrap();
            path
        });
        let told = explain(&paths[0], &paths[1], &limits()).unwrap();
        assert!(!told.same && !told.differences.is_empty(), "{name}");
    }
}

fn pair(old: &[u8], new: &[u8], ending: &str, limits: &Limits) -> Explanation {
    let directory = tempfile::tempdir().unwrap();
    let paths = ["old", "new"].map(|side| directory.path().join(format!("{side}.{ending}")));
    fs::write(&paths[0], old).unwrap();
    fs::write(&paths[1], new).unwrap();
    explain(&paths[0], &paths[1], limits).unwrap()
}

fn note(told: &Explanation) -> String {
    let notes = told
        .differences
        .iter()
        .filter_map(|difference| difference.note.clone());
    notes.collect::<Vec<_>>().join("\n")
}

fn gzip(content: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(content).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn bombs_are_not_unpacked() {
    let zeros = vec![0; 9 << 20];
    let mut other = zeros.clone();
    other[0] = 1;
    let told = pair(&gzip(&zeros), &gzip(&other), "gz", &limits());
    assert!(note(&told).contains("not read as gzip"), "{told:?}");
    assert_eq!(told.kind, "bytes");
    // A hundred archives within one another.
    let nest = |inner: &[u8]| (0..100).fold(inner.to_vec(), |inner, _| gzip(&inner));
    let told = pair(&nest(b"a"), &nest(b"b"), "gz", &limits());
    assert!(note(&told).contains("archives within archives"), "{told:?}");
}

#[test]
fn members_too_large_for_memory_are_unpacked_to_scratch() {
    let scratch = tempfile::tempdir().unwrap();
    let (mut old, mut new) = (vec![7_u8; 3 << 20], vec![7_u8; 3 << 20]);
    old[1 << 20] = 0;
    new[2 << 20] = 0xff;
    let small = Limits {
        in_memory: 1 << 20,
        ..Limits::default()
    };
    let refused = pair(&gzip(&old), &gzip(&new), "gz", &small);
    assert!(
        note(&refused).contains("without a place to unpack it"),
        "{refused:?}"
    );
    let roomy = Limits {
        scratch: Some(scratch.path().to_path_buf()),
        ..small
    };
    let told = pair(&gzip(&old), &gzip(&new), "gz", &roomy);
    assert_eq!(told.differences[0].at, format!("byte {}", 1 << 20));
    assert!(
        note(&told).contains("2 of 3145728 bytes differ"),
        "{told:?}"
    );
    assert_eq!(fs::read_dir(scratch.path()).unwrap().count(), 0);
}

/// Rows of a dataset that is not read whole say the same as the whole.
#[test]
fn datasets_too_large_for_memory_are_read_by_rows() {
    let scratch = tempfile::tempdir().unwrap();
    let paths = [fixtures(), fixtures().join("../new")].map(|side| side.join("late.h5"));
    let whole = explain(&paths[0], &paths[1], &Limits::default()).unwrap();
    let kernel = |told: &Explanation| {
        let mut all = told.differences.iter();
        all.find(|difference| difference.at == "/layers/dense/kernel[3, 17]")
            .cloned()
    };
    // 80 numbers of 4 bytes do not fit, and a row of them does.
    let small = Limits {
        in_memory: 200,
        scratch: Some(scratch.path().into()),
        ..Limits::default()
    };
    let told = explain(&paths[0], &paths[1], &small).unwrap();
    assert_eq!(kernel(&told), kernel(&whole), "{told:?}");
    assert!(kernel(&told).is_some(), "{told:?}");
}

#[test]
fn values_within_values_without_end_are_refused() {
    for (ending, open) in [("json", "["), ("json", "{\"a\":")] {
        let deep = open.repeat(100_000);
        let told = pair(
            deep.as_bytes(),
            format!("{deep}1").as_bytes(),
            ending,
            &limits(),
        );
        assert!(note(&told).contains("too deep"), "{told:?}");
        assert_eq!(told.kind, "text");
    }
}

#[test]
fn arrays_that_lie_about_their_size_are_bytes() {
    let header = b"{'descr': '<f8', 'fortran_order': False, 'shape': (9223372036854775807, 9), }";
    let npy = |last: u8| {
        let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
        bytes.extend(u16::try_from(header.len()).unwrap().to_le_bytes());
        bytes.extend(header);
        bytes.push(last);
        bytes
    };
    let told = pair(&npy(0), &npy(1), "npy", &limits());
    assert_eq!(told.kind, "bytes");
    assert!(
        note(&told).contains("more elements than can be counted"),
        "{told:?}"
    );
}

#[test]
fn what_a_file_says_reaches_no_terminal() {
    let old = b"{\"\x1b]0;title\x07\": 1}";
    let told = pair(old, b"{\"\x1b]0;title\x07\": 2}", "json", &limits());
    let all = told.render().join("");
    assert!(!all.contains('\u{1b}') && !all.contains('\u{7}'), "{all:?}");
}

/// A stand-in, for what is asked and what is done with the answer.
#[test]
fn diffoscope_is_asked_about_bytes_when_it_may() {
    use std::os::unix::fs::PermissionsExt;
    let scratch = tempfile::tempdir().unwrap();
    let asked = |script: &str, timeout| {
        let program = scratch.path().join("diffoscope");
        fs::write(&program, script).unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        let diffoscope = Some(Diffoscope { program, timeout });
        let limits = Limits {
            diffoscope,
            scratch: Some(scratch.path().into()),
            ..limits()
        };
        let told = pair(b"\0a", b"\0b", "o", &limits);
        assert_eq!(told.kind, "bytes");
        note(&told)
    };
    let long = Duration::from_secs(60);
    let answer = asked(
        "#!/bin/sh\ncat \"$4\" \"$5\" | tr -d '\\0' > \"$3\"\nexit 1\n",
        long,
    );
    assert!(answer.contains("diffoscope: ab"), "{answer}");
    let failed = asked("#!/bin/sh\nexit 2\n", long);
    assert!(failed.contains("gave no answer"), "{failed}");
    let slow = asked("#!/bin/sh\nexec sleep 600\n", Duration::from_millis(100));
    assert!(slow.contains("the time it takes"), "{slow}");
    // What is understood here needs nobody else.
    let text: Vec<Difference> = pair(b"a\n", b"b\n", "txt", &limits()).differences;
    assert_eq!((text.len(), text[0].note.clone()), (1, None));
}
