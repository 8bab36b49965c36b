use proptest::prelude::*;

use crate::array::{
    Array, ElementType, Float, Kind, Layout, Literal, Scalar, compare, descr, type_code,
};
use crate::base::{Explanation, Limits, Source, Walk};

fn array(element: ElementType, shape: &[u64], layout: Layout, bytes: &[u8]) -> Array {
    Array {
        element,
        shape: shape.to_vec(),
        layout,
        bytes: Source::memory(bytes.to_vec()),
    }
}

fn explained(old: &Array, new: &Array) -> Explanation {
    let limits = Limits::default();
    let mut walk = Walk::new(&limits);
    compare(&mut walk, "a", old, new).unwrap();
    walk.finish("array", false)
}

fn floats(values: &[f32]) -> Array {
    let bytes: Vec<u8> = values
        .iter()
        .flat_map(|value| value.to_le_bytes())
        .collect();
    array(
        ElementType::float(Float::F32),
        &[values.len() as u64],
        Layout::C,
        &bytes,
    )
}

#[test]
fn elements_are_the_same_when_their_bits_are() {
    let nan = |bits: u32| f32::from_bits(bits);
    let same = explained(
        &floats(&[nan(0x7fc0_0001), 1.0]),
        &floats(&[nan(0x7fc0_0001), 1.0]),
    );
    assert_eq!(same.differences, []);
    let other = explained(&floats(&[nan(0x7fc0_0001)]), &floats(&[nan(0x7fc0_0002)]));
    let numbers = other.differences[0].numbers.clone().unwrap();
    assert_eq!(
        (numbers.differing, numbers.nan_payloads, numbers.max_ulp),
        (1, 1, None)
    );
    let zero = explained(&floats(&[0.0]), &floats(&[-0.0]));
    let numbers = zero.differences[0].numbers.clone().unwrap();
    assert_eq!((numbers.zero_signs, numbers.max_ulp), (1, Some(0)));
}

#[test]
fn distances_are_counted_in_units_in_the_last_place() {
    for (float, old, new, ulps) in [
        (
            Float::F64,
            1.0_f64.to_bits().into(),
            1.0_f64.next_up().to_bits().into(),
            1,
        ),
        // Through zero: from the smallest below to the smallest above.
        (Float::F32, 0x8000_0001, 0x0000_0001, 2),
        (Float::F16, 0x3c00, 0x3c03, 3),
        (Float::BF16, 0x3f80, 0x3f7f, 1),
        (Float::E4M3, 0x38, 0x39, 1),
        (
            Float::X87,
            0x3fff_8000_0000_0000_0000,
            0x3fff_8000_0000_0000_0001,
            1,
        ),
    ] {
        assert_eq!(float.ulps(old, new), ulps, "{float}");
    }
}

#[test]
fn small_formats_have_the_values_of_their_definition() {
    for (float, bits, value) in [
        (Float::E4M3, 0x38, 1.0),
        (Float::E4M3, 0x7e, 448.0),
        (Float::E4M3, 0x01, 2_f64.powi(-9)),
        (Float::E4M3, 0xb8, -1.0),
        (Float::E5M2, 0x3c, 1.0),
        (Float::E5M2, 0x7b, 57344.0),
        (Float::BF16, 0x3fc0, 1.5),
        (Float::F16, 0xc000, -2.0),
        (Float::X87, 0x4000_c000_0000_0000_0000, 3.0),
    ] {
        assert_eq!(float.value(bits), value, "{float} {bits:x}");
    }
    assert!(Float::E4M3.value(0x7f).is_nan());
    assert!(Float::X87.value(0x7fff_c000_0000_0000_0000).is_nan());
}

#[test]
fn the_first_the_largest_and_the_places_are_told() {
    let old = floats(&[0.0; 64]);
    let mut values = [0.0; 64];
    values[10] = 0.5;
    values[63] = -2.0;
    let told = explained(&old, &floats(&values));
    let difference = &told.differences[0];
    let numbers = difference.numbers.clone().unwrap();
    assert_eq!(
        (difference.at.as_str(), difference.new.as_str()),
        ("a[10]", "0.5")
    );
    assert_eq!((numbers.first, numbers.max_at), (vec![10], Some(vec![63])));
    assert_eq!((numbers.max_abs, numbers.share), (Some(2.0), 2.0 / 64.0));
    let parts: Vec<usize> = (0..32).filter(|part| numbers.parts[*part] > 0).collect();
    assert_eq!((numbers.parts.len(), parts), (32, vec![5, 31]));
}

#[test]
fn layouts_are_read_by_index() {
    let int = || ElementType::int(1, true);
    let rows = array(int(), &[2, 3], Layout::C, &[0, 1, 2, 3, 4, 5]);
    let columns = array(int(), &[2, 3], Layout::Fortran, &[0, 3, 1, 4, 2, 5]);
    let strided = Layout::Strided {
        offset: 1,
        strides: vec![-1, 2],
    };
    let picked = array(int(), &[2, 3], strided, &[3, 0, 4, 1, 5, 2]);
    for other in [&columns, &picked] {
        let told = explained(&rows, other);
        assert!(told.metadata_only, "{told:?}");
    }
    let changed = array(int(), &[2, 3], Layout::Fortran, &[0, 3, 1, 9, 2, 5]);
    for old in [&rows, &columns] {
        let told = explained(old, &changed);
        let last = told.differences.last().unwrap();
        assert_eq!((last.at.as_str(), last.old.as_str()), ("a[1, 1]", "4"));
    }
}

#[test]
fn types_are_read_from_their_codes() {
    for (code, title) in [
        ("<f8", "float64"),
        ("|b1", "bool"),
        (">i4", "int32"),
        ("|u1", "uint8"),
        ("<c16", "complex128"),
        ("<U10", "text of 10"),
        ("|S5", "bytes of 5"),
        ("<M8[ns]", "time in ns since 1970"),
        ("<m8[25s]", "time in 25s"),
        ("|V16", "16 opaque bytes"),
        ("<f16", "float80"),
    ] {
        assert_eq!(type_code(code).unwrap().to_string(), title);
    }
    for code in ["", "<", "<f3", "|O", "<U99999999999999999999", "é8"] {
        assert!(type_code(code).is_err(), "{code}");
    }
    let literal = "[('a', '<i4'), ('', '|V4'), (('title', 'b'), '>f8', (2, 3))]";
    let record = descr(&Literal::parse(literal).unwrap()).unwrap();
    assert_eq!(
        (record.size, record.to_string().as_str()),
        (56, "record of a int32, b float64×6")
    );
}

#[test]
fn shapes_that_lie_are_refused() {
    let limits = Limits::default();
    let byte = || ElementType::int(1, false);
    let strided = |strides: &[i64]| Layout::Strided {
        offset: 0,
        strides: strides.to_vec(),
    };
    for (shape, layout) in [
        (vec![u64::MAX, 2], Layout::C),
        (vec![9], Layout::C),
        (vec![2, 9], Layout::Fortran),
        (vec![2], strided(&[i64::MAX])),
        (vec![2], strided(&[-1])),
        (vec![2], strided(&[])),
        (vec![1 << 60], strided(&[0])),
    ] {
        let old = array(byte(), &shape, layout.clone(), &[0; 8]);
        let new = array(byte(), &shape, layout, &[1; 8]);
        let mut walk = Walk::new(&limits);
        assert!(compare(&mut walk, "", &old, &new).is_err(), "{shape:?}");
    }
    // Elements of nothing are many and the same.
    let nothing = array(ElementType::new(Kind::Bytes, 0), &[1 << 60], Layout::C, &[]);
    assert_eq!(explained(&nothing, &nothing).differences, []);
}

proptest! {
    #[test]
    fn what_differs_is_counted(old in proptest::collection::vec(any::<u32>(), 1..200), flips in proptest::collection::vec((any::<prop::sample::Index>(), 1_u32..), 0..9)) {
        let mut new = old.clone();
        for (index, flip) in &flips {
            new[index.index(old.len())] ^= flip;
        }
        let differing = old.iter().zip(&new).filter(|(old, new)| old != new).count() as u64;
        let from = |values: &[u32]| floats(&values.iter().map(|bits| f32::from_bits(*bits)).collect::<Vec<_>>());
        let told = explained(&from(&old), &from(&new));
        let counted = told.differences.first().map_or(0, |difference| difference.numbers.clone().unwrap().differing);
        prop_assert_eq!(counted, differing);
    }

    #[test]
    fn places_and_values_agree(old in any::<f32>(), steps in 0_u64..1000) {
        prop_assume!(old.is_finite() && old.abs() < 1e38);
        let mut new = old;
        for _ in 0..steps {
            new = new.next_up();
        }
        let distance = Float::F32.ulps(u128::from(old.to_bits()), u128::from(new.to_bits()));
        // Both zeros have one place, and the way up goes through one of them only.
        prop_assert_eq!(distance, steps);
    }

    #[test]
    fn literals_never_panic(text in "[\\[\\](){}'\",:0-9a-zL\\\\ é-]{0,40}") {
        if let Ok(literal) = Literal::parse(&text) {
            let _ = descr(&literal);
        }
    }

    #[test]
    fn scalars_of_any_bytes_are_written(bytes in proptest::collection::vec(any::<u8>(), 32), big in any::<bool>()) {
        for code in ["f2", "f4", "f8", "f16", "c8", "c16", "c32", "i1", "u8", "b1", "S3", "U4", "M8[s]", "V7"] {
            let element = type_code(code).unwrap().big_endian(big);
            let scalar: Scalar = element.scalar(&bytes[..element.size]);
            prop_assert!(!scalar.to_string().contains('\n'));
        }
    }
}
