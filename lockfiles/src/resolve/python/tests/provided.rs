//! Distributions that conda packages bring.

use crate::base::PythonName;
use crate::resolve::python::tests::making::{Release, write_index};
use crate::resolve::python::tests::{Case, pins, report};
use crate::resolve::python::{PythonError, Resolved};

fn index(releases: &[Release]) -> (tempfile::TempDir, String) {
    let directory = tempfile::tempdir().unwrap();
    let url = write_index(directory.path(), releases);
    (directory, url)
}

#[test]
fn what_is_there_is_never_shadowed() {
    let (_index, url) = index(&[
        Release::wheel("numpy", "2.1.3"),
        Release::wheel("numpy", "1.26.4"),
        Release::wheel("pandas", "2.2.3").requires("numpy>=1.26"),
    ]);
    for requirements in [
        &["pandas"][..],
        &["pandas", "numpy"],
        &["numpy<2", "pandas"],
    ] {
        let case = Case::new(&url, requirements).provided(&["numpy==1.26.4"]);
        assert_eq!(case.pins(), ["pandas==2.2.3"], "{requirements:?}");
    }
    // Also one that no index has, and one that the manifest asks for alone.
    let case = Case::new(&url, &["own", "numpy"]).provided(&["own==0.1", "numpy==1.26.4"]);
    assert!(case.pins().is_empty());
}

#[test]
fn a_requirement_that_leaves_it_names_it() {
    let (_index, url) = index(&[
        Release::wheel("numpy", "1.26.4"),
        Release::wheel("pandas", "1.5.3").requires("numpy<2"),
    ]);
    let case = Case::new(&url, &["pandas"]).provided(&["numpy==2.1.3", "other==1"]);
    let error = case.resolve().unwrap_err();
    let PythonError::NoSolution { provided, .. } = &error else {
        panic!("{}", report(&error));
    };
    let numpy: PythonName = "numpy".parse().unwrap();
    assert_eq!(*provided, [numpy]);
    let text = std::error::Error::source(&error).unwrap().to_string();
    assert!(
        text.contains("all versions of pandas depend on numpy<2"),
        "{text}"
    );
}

#[test]
fn what_it_depends_on_is_its_packages_affair_but_for_extras() {
    let (_index, url) = index(&[
        Release::wheel("fast", "1"),
        Release::wheel("base", "1"),
        Release::wheel("user", "1").requires("dask[array]"),
    ]);
    for requirement in ["dask[array]", "user"] {
        let mut case = Case::new(&url, &[requirement]).provided(&["dask==2024.1"]);
        let dask: PythonName = "dask".parse().unwrap();
        let Resolved::Extras(names) = case.resolved().unwrap() else {
            panic!("nobody knows the extras of dask");
        };
        assert!(names.contains(&dask) && names.len() == 1);
        let text = "Metadata-Version: 2.1\nName: dask\nVersion: 2024.1\nRequires-Dist: base>=2\n\
                    Provides-Extra: array\nRequires-Dist: fast ; extra == 'array'\n";
        case.provided.get_mut(&dask).unwrap().metadata = Some(text.as_bytes().to_vec());
        let wheels = case.resolve().unwrap();
        let others: Vec<_> = pins(&wheels)
            .into_iter()
            .filter(|pin| pin != "user==1")
            .collect();
        assert_eq!(others, ["fast==1"]);
        let fast = wheels.iter().find(|wheel| wheel.name.as_str() == "fast");
        assert_eq!(fast.unwrap().required_by, ["dask"]);
    }
}

#[test]
fn a_direct_url_of_what_is_there_is_refused() {
    let (index, url) = index(&[Release::wheel("numpy", "2.1.3")]);
    let file = index.path().join("numpy/numpy-2.1.3-py3-none-any.whl");
    let server = crate::net::tests::http::Server::start();
    let path = "/numpy-2.1.3-py3-none-any.whl";
    server.file(path, &std::fs::read(file).unwrap());
    let requirement = format!("numpy @ {}{path}", server.url());
    let case = Case::new(&url, &[&requirement]).provided(&["numpy==1.26.4"]);
    insta::assert_snapshot!(case.report(), @"
    User error: `numpy` is to come from a URL, and a conda package brings `numpy` 1.26.4
    hint: leave out the URL, or what depends on the conda package that brings `numpy`
    ");
}
