//! Which packages are chosen.

use std::collections::BTreeMap;

use crate::base::{Explain as _, Kind, Platform};
use crate::resolve::debian::DebianError;
use crate::resolve::debian::index::Index;
use crate::resolve::debian::solve;
use crate::resolve::debian::tests::fixture::{Wanted, package};
use crate::resolve::debian::universe::Universe;

/// Solves for `roots`, separated by spaces, among `packages`: lines of `name version`, with further
/// fields after `;`. Returns the packages chosen, or the error.
fn solve(roots: &str, packages: &str) -> Result<String, DebianError> {
    let paragraphs: String = packages
        .lines()
        .map(str::trim)
        .map(|line| {
            let mut parts = line.split(';').map(str::trim);
            let (name, version) = parts.next().unwrap().split_once(' ').unwrap();
            package(name, version, &parts.collect::<Vec<_>>().join("\n"))
        })
        .collect();
    let index = Index::load(Index::build(&paragraphs).unwrap()).unwrap();
    let universe = Universe::new(vec![&index], Platform::LinuxAmd64);
    let roots = Wanted::of(&roots.split(' ').collect::<Vec<_>>()).roots;
    let chosen = solve::solve(&universe, &roots, &BTreeMap::new())?;
    let shown =
        |package: &solve::Chosen| format!("{}={}", package.package.name, package.package.version);
    Ok(chosen.iter().map(shown).collect::<Vec<_>>().join(" "))
}

#[test]
fn closures() {
    for (what, roots, packages, expected) in [
        (
            "dependencies are followed, recommendations and essential packages are not",
            "aa",
            "aa 1; Depends: bb (>= 2); Recommends: rr
             bb 2; Pre-Depends: cc
             cc 1
             rr 1
             ee 1; Essential: yes",
            "aa=1 bb=2 cc=1",
        ),
        (
            "circles end",
            "aa",
            "aa 1; Depends: bb\nbb 1; Depends: aa",
            "aa=1 bb=1",
        ),
        (
            "the newest version is taken",
            "aa",
            "aa 1\naa 1:0\naa 3",
            "aa=1:0",
        ),
        (
            "an older one where the newest does not fit",
            "aa bb",
            "aa 1\naa 2\nbb 1; Depends: aa (<< 2)",
            "aa=1 bb=1",
        ),
        (
            "the first alternative is taken",
            "aa",
            "aa 1; Depends: xx | yy\nxx 1\nyy 1",
            "aa=1 xx=1",
        ),
        (
            "unless there is none",
            "aa",
            "aa 1; Depends: xx (>= 2) | yy\nxx 1\nyy 1",
            "aa=1 yy=1",
        ),
        (
            "or another is there already",
            "aa zz",
            "aa 1; Depends: xx | yy\nxx 1\nyy 1\nzz 1; Depends: yy",
            "aa=1 yy=1 zz=1",
        ),
        (
            "also when that shows late",
            "aa zz",
            "aa 1; Depends: xx | yy\nxx 1; Depends: more\nmore 1\nyy 1\nzz 1; Depends: late\nlate 1; Depends: yy",
            "aa=1 late=1 yy=1 zz=1",
        ),
        (
            "of those that provide a name the most wanted is taken",
            "aa",
            "aa 1; Depends: awk
             gawk 1; Provides: awk; Priority: optional
             mawk 1; Provides: awk; Priority: required",
            "aa=1 mawk=1",
        ),
        (
            "of two as wanted the first by name",
            "aa",
            "aa 1; Depends: awk\ngawk 1; Provides: awk\nbawk 1; Provides: awk",
            "aa=1 bawk=1",
        ),
        (
            "a package comes before those that provide its name",
            "aa",
            "aa 1; Depends: xx\nxx 1\nbb 1; Provides: xx; Priority: required",
            "aa=1 xx=1",
        ),
        (
            "a provided name without a version has none",
            "aa",
            "aa 1; Depends: vv (>= 1)\nbb 1; Provides: vv\ncc 1; Provides: vv (= 1)",
            "aa=1 cc=1",
        ),
        (
            "a provided version must fit",
            "aa",
            "aa 1; Depends: vv (>= 2)\nbb 1; Provides: vv (= 1)\ncc 1; Provides: vv (= 2)",
            "aa=1 cc=1",
        ),
        (
            "only some versions of a package may provide a name",
            "aa",
            "aa 1; Depends: vv\nbb 2\nbb 1; Provides: vv",
            "aa=1 bb=1",
        ),
        (
            "any architecture is met only by packages that allow it",
            "aa",
            "aa 1; Depends: pp:any | qq:any\npp 1\nqq 1; Multi-Arch: allowed",
            "aa=1 qq=1",
        ),
        (
            "packages for all architectures are for this one, those for others are not",
            "aa",
            "aa 1; Depends: xx | yy\nxx 1; Architecture: i386\nyy 1; Architecture: all",
            "aa=1 yy=1",
        ),
        (
            "conflicts are avoided",
            "aa bb",
            "aa 1; Depends: xx | yy\nbb 1; Conflicts: xx\nxx 1\nyy 1",
            "aa=1 bb=1 yy=1",
        ),
        (
            "as is what breaks",
            "aa bb",
            "aa 1; Depends: xx\nbb 1; Breaks: xx (<< 2~)\nxx 1\nxx 2\nxx 3; Breaks: bb",
            "aa=1 bb=1 xx=2",
        ),
        (
            "a conflict with a provided name is with everyone else who provides it",
            "mm aa",
            "mm 1; Provides: mta; Conflicts: mta
             aa 1; Depends: nn | oo
             nn 1; Provides: mta
             oo 1",
            "aa=1 mm=1 oo=1",
        ),
        (
            "a versioned conflict does not mean who provides no version",
            "aa bb",
            "aa 1; Breaks: vv (<< 2)\nbb 1; Provides: vv",
            "aa=1 bb=1",
        ),
        (
            "a root may be provided by one package",
            "vv",
            "bb 1; Provides: vv",
            "bb=1",
        ),
        (
            "what only scripts need is not taken",
            "base-files ca-certificates",
            "base-files 1; Pre-Depends: awk
             mawk 1; Provides: awk
             ca-certificates 1; Depends: openssl (>= 1), debconf (>= 0.5) | debconf-2.0
             openssl 1
             debconf 1",
            "base-files=1 ca-certificates=1",
        ),
        (
            "unless it is asked for",
            "ca-certificates debconf",
            "ca-certificates 1; Depends: openssl (>= 1), debconf (>= 0.5) | debconf-2.0
             openssl 1
             debconf 1",
            "ca-certificates=1 debconf=1",
        ),
        (
            "or somebody else needs it",
            "ca-certificates other",
            "ca-certificates 1; Depends: openssl\nother 1; Depends: openssl\nopenssl 1",
            "ca-certificates=1 openssl=1 other=1",
        ),
    ] {
        // The solver's tables are hashed with random keys; the choice must not depend on them.
        for _ in 0..10 {
            assert_eq!(solve(roots, packages).unwrap(), expected, "{what}");
        }
    }
}

#[test]
fn contradictions_are_explained() {
    for (roots, packages, words) in [
        (
            "aa",
            "aa 1; Depends: bb (>= 2)\nbb 1",
            vec!["aa 1", "bb >= 2"],
        ),
        ("aa", "aa 1; Depends: nothing", vec!["aa 1", "nothing"]),
        ("aa bb", "aa 1; Conflicts: bb\nbb 1", vec!["aa 1", "bb 1"]),
        (
            "aa bb",
            "aa 1; Breaks: vv\nbb 1; Provides: vv",
            vec!["aa 1", "providing vv"],
        ),
        (
            "aa bb",
            "aa 1; Depends: cc (<< 2)\nbb 1; Depends: cc (>> 2)\ncc 1\ncc 3",
            vec!["cc << 2", "cc >> 2"],
        ),
        ("aa", "aa 1; Depends: pp:any\npp 1", vec!["aa 1", "pp"]),
    ] {
        let error = solve(roots, packages).unwrap_err();
        assert_eq!(error.kind(), Kind::User);
        let DebianError::Unsatisfiable { explanation, .. } = &error else {
            panic!("{error:?}");
        };
        for word in words {
            assert!(explanation.contains(word), "{word}:\n{explanation}");
        }
    }
}

#[test]
fn unknown_packages_are_answered_with_similar_ones() {
    let packages = "libgomp1 1\nlibgomp-dev 1\nzsh 1";
    let error = solve("libgomp", packages).unwrap_err();
    assert_eq!(error.kind(), Kind::User);
    assert_eq!(
        error.to_string(),
        "package `libgomp`, asked for by manifest, does not exist for linux/amd64"
    );
    assert_eq!(error.hints(), ["did you mean `libgomp1`, `libgomp-dev`?"]);
    assert!(solve("qqq", packages).unwrap_err().hints().is_empty());
}

#[test]
fn virtual_packages_of_several_are_answered_with_those() {
    let error = solve("vv", "bb 1; Provides: vv\ncc 1; Provides: vv").unwrap_err();
    assert_eq!(error.kind(), Kind::User);
    assert_eq!(error.hints(), ["choose one of `bb`, `cc`"]);
}

#[test]
fn entries_that_make_no_sense_are_named() {
    let error = solve("aa", "aa 1; Depends: bb\nbb 1; Size: many").unwrap_err();
    assert_eq!(error.kind(), Kind::Integrity);
    assert_eq!(
        error.to_string(),
        "the archive's entry of package `bb` has a field `Size` with `many` in it"
    );
    assert_eq!(solve("aa", "aa 1\nbb 1; Size: many").unwrap(), "aa=1");
}
