//! Real channels, and problems that others made for their solvers.

use crate::resolve::conda::tests::Case;
use crate::resolve::conda::tests::making::unpack_fixture;

fn case(channel: &str, dependencies: &[&str]) -> Case {
    Case::new(dependencies).channel_of(channel, |directory| unpack_fixture(directory, channel))
}

#[test]
fn a_slice_of_conda_forge_is_locked() {
    let case =
        case("conda-forge-slice", &["qgis", "python 3.12.*"]).declare("__archspec=1=x86_64_v3");
    let packages = case.resolve().unwrap();
    assert_eq!(packages.len(), 273);
    let find = |name: &str| packages.iter().find(|p| p.name.as_str() == name).unwrap();
    assert!(find("python").version.starts_with("3.12."));
    assert_eq!(find("qgis").required_by, ["manifest"]);
    assert!(find("python").required_by.contains(&"numpy".to_owned()));
    for package in &packages {
        assert!(
            !package.required_by.is_empty(),
            "{} is there for a reason",
            package.name
        );
        assert!(package.artifact.size > 0);
    }
}

#[test]
fn an_old_channel_of_anaconda_is_solved() {
    let case = case("anaconda-2017-index4", &["pandas", "python 3.6.*"]);
    let found = case.solution().unwrap();
    assert_eq!(found.len(), 25, "{found:?}");
}

/// A sudoku, as solvers of packages are tried with: nine rows, what is given of each.
const SUDOKU: [&str; 9] = [
    "53..7....",
    "6..195...",
    ".98....6.",
    "8...6...3",
    "4..8.3..1",
    "7...2...6",
    ".6....28.",
    "...419..5",
    "....8..79",
];

#[test]
fn a_sudoku_without_a_solution_is_told() {
    // The cells of one box forbid all nine digits to a cell of another, so that no sudoku has a
    // solution in this channel, also those that have one on paper.
    let cells = SUDOKU.iter().enumerate().flat_map(|(row, digits)| {
        let digits = digits.chars().enumerate();
        digits.map(move |(column, digit)| (row, column, digit))
    });
    let given = cells.filter(|(_, _, digit)| *digit != '.');
    let given: Vec<_> = given
        .map(|(row, column, digit)| format!("sudoku_{row}_{column} =={digit}"))
        .collect();
    assert_eq!(given.len(), 30);
    let given: Vec<_> = given.iter().map(String::as_str).collect();
    let report = case("sudoku", &given).report();
    assert!(report.contains("no set of packages fulfils"), "{report}");
    assert!(report.contains("sudoku_8_4 ==8"), "{report}");
}
