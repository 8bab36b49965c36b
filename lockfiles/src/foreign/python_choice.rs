//! Which Python an environment gets whose files name none.

use uv_pep440::VersionSpecifiers;

use crate::base::Platform;
use crate::manifest::{PythonVersion, allowed_pythons};
use crate::resolve::python::WheelTarget;
use crate::resolve::{PinSource, Pins, PythonPin};

/// The C library of the base that is built of Debian packages when nothing else is said.
const GLIBC: (u16, u16) = (2, 36);

/// Returns the Python that `requires_python` allows and that the most pins have a wheel for; none
/// when no Python is allowed.
pub(super) fn python(requires_python: Option<&VersionSpecifiers>, pins: &Pins) -> Option<String> {
    let mut best = None;
    for python in allowed_pythons(requires_python) {
        let fitting = fitting(pins, python);
        if best.is_none_or(|(most, _)| fitting > most) {
            best = Some((fitting, python));
        }
    }
    best.map(|(_, python)| python.to_string())
}

/// Returns how many pins have a wheel for a Python.
fn fitting(pins: &Pins, python: PythonVersion) -> usize {
    let Ok(target) = WheelTarget::new(&format!("{python}.0"), Platform::LinuxAmd64, GLIBC) else {
        return 0;
    };
    let fits = |pin: &&PythonPin| {
        matches!(pin.source, PinSource::Index(_))
            && pin
                .files
                .iter()
                .filter_map(|file| file.file.as_deref())
                .any(|file| target.fits(file))
    };
    pins.python.iter().filter(fits).count()
}

/// Returns some target, for questions that it does not decide.
pub(super) fn any_target() -> WheelTarget {
    WheelTarget::new("3.11.0", Platform::LinuxAmd64, GLIBC).expect("three numbers are a version")
}
