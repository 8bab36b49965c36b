use std::collections::BTreeMap;

use proptest::prelude::*;

use crate::base::{Explanation, Limits, Source, Walk};
use crate::pickle::{Graph, Id, Side, compare, read};

fn parsed(bytes: &[u8]) -> Result<(Graph, Id), String> {
    let mut graph = Graph::default();
    let root = read(&mut Source::memory(bytes.to_vec()).reader(), &mut graph);
    root.map(|root| (graph, root))
        .map_err(|fault| fault.to_string())
}

fn explained(old: &[u8], new: &[u8]) -> Result<Explanation, String> {
    let (old, new) = (parsed(old)?, parsed(new)?);
    let (limits, storages) = (Limits::default(), BTreeMap::new());
    let mut walk = Walk::new(&limits);
    let side = |graph, root| Side {
        graph,
        root,
        storages: &storages,
        big_endian: false,
    };
    let told = compare(&mut walk, "", &side(&old.0, old.1), &side(&new.0, new.1));
    told.map_err(|fault| fault.to_string())?;
    Ok(walk.finish("pickle", false))
}

#[test]
fn what_a_pickle_would_call_stays_inert() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("made");
    let pickle = format!("cos\nsystem\n(S'touch {}'\ntR.", path.display());
    let told = explained(pickle.as_bytes(), b"cos\nsystem\n(S'true'\ntR.").unwrap();
    assert_eq!(told.differences[0].at, ".__args__[0]");
    assert!(!path.exists());
}

#[test]
fn shared_and_cyclic_values_end() {
    // A pair of one pair twice, a hundred times over: 2^100 leaves.
    let mut laughs = b"\x80\x04]".to_vec();
    for _ in 0..100 {
        laughs.extend(b"2\x86");
    }
    laughs.push(b'.');
    let mut other = laughs.clone();
    other[2] = b')';
    let told = explained(&laughs, &other).unwrap();
    assert!(!told.differences.is_empty());
    // A list that holds itself, and one that holds itself and a number.
    let cycle = explained(b"\x80\x02]q\x00h\x00a.", b"\x80\x02]q\x00(h\x00K\x01e.").unwrap();
    assert_eq!(cycle.differences[0].new, "2 items");
    // Tuples within tuples, more than any stack holds.
    let deep = |inner: u8| [&[inner][..], &[0x85; 100_000], b"."].concat();
    let told = explained(&deep(b'N'), &deep(0x88)).unwrap();
    assert_eq!(
        told.differences[0].note.as_deref(),
        Some("lies too deep to be compared")
    );
}

#[test]
fn what_is_not_a_pickle_is_refused() {
    for (bytes, reason) in [
        (&b""[..], "it ends within 1 bytes at 0"),
        (b".", "needs a value"),
        (b"\x80\x06N.", "pickle protocol 6"),
        (b"\xff.", "unknown opcode 0xff"),
        (b"N", "it ends"),
        (b"(.", "needs a value"),
        (b"h\x00.", "never put"),
        (b"X\xff\xff\xff\xffa.", "bytes are expected"),
        (
            b"\x8e\xff\xff\xff\xff\xff\xff\xff\xff.",
            "bytes are expected",
        ),
        (b"NNb.", "state of what has none"),
        (b"Na.", "needs a value"),
        (b"NNa.", "adds to what holds nothing"),
        (b"}(Nu.", "key without a value"),
        (b"I12x\n.", "is not a number"),
        (b"\x97.", "buffers lie elsewhere"),
        (b"N\x85R.", "needs a value"),
        (b"(o.", "calls nothing"),
        (b"NN\x93.", "names what is not text"),
        (b"S'\x80\n.", "text without quotes"),
    ] {
        let error = parsed(bytes).map(|_| ()).unwrap_err();
        assert!(error.contains(reason), "{bytes:?}: {error}");
    }
}

#[test]
fn values_are_compared_by_what_they_are() {
    for (old, new, expected) in [
        (&b"I1\n."[..], &b"K\x01."[..], None),
        (b"I01\n.", b"\x88.", None),
        (b"L5L\n.", b"\x8a\x01\x05.", None),
        (b"Va\n.", b"\x8c\x01a.", None),
        (b"F1.5\n.", b"G\x3f\xf8\0\0\0\0\0\0.", None),
        (b"(K\x01K\x02l.", b"](K\x01K\x02e.", None),
        (b"(K\x01K\x02d.", b"}(K\x01K\x02u.", None),
        (b"K\x01.", b"G\x3f\xf0\0\0\0\0\0\0.", Some(("", "1", "1.0"))),
        (
            b"](K\x01K\x02e.",
            b"](K\x01K\x03e.",
            Some(("[1]", "2", "3")),
        ),
        (b"Va\\u20ac\n.", b"\x8c\x04a\xe2\x82\xac.", None),
        (b"N.", b"\x89.", Some(("", "None", "False"))),
        (
            b"}\x8c\x01aK\x01s.",
            b"}\x8c\x01bK\x01s.",
            Some(("['a']", "1", "(absent)")),
        ),
        (
            b"\x8f(K\x01K\x02\x90.",
            b"\x8f(K\x01K\x03\x90.",
            Some(("", "2", "(absent)")),
        ),
        (
            b"cm\nA\n)R.",
            b"cm\nB\n)R.",
            Some((".__class__", "m.A", "m.B")),
        ),
    ] {
        let told = explained(old, new).unwrap();
        let first = told.differences.first().map(|d| (&*d.at, &*d.old, &*d.new));
        assert_eq!(first, expected, "{old:?} {new:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]
    #[test]
    fn programs_of_any_opcodes_end(bytes in proptest::collection::vec(
        prop_oneof![
            proptest::sample::select(b"(.0125IJKLMNPQRSTUVXabcde}ghijl]opqrst)uGBC\n'\x01\x00".to_vec()),
            0x80_u8..0x99,
            any::<u8>(),
        ], 0..120)) {
        let _ = explained(&bytes, b"N.");
        let _ = explained(&bytes, &bytes);
    }
}
