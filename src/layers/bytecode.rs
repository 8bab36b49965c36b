//! Where bytecode lies (PEP 3147).

use crate::layers::PythonTarget;

/// Returns where the bytecode of a module lies.
pub fn bytecode_of(module: &[u8], PythonTarget { major, minor }: PythonTarget) -> Vec<u8> {
    let split = module.iter().rposition(|&byte| byte == b'/');
    let (directory, name) = module.split_at(split.map_or(0, |slash| slash + 1));
    let stem = name.strip_suffix(b".py").unwrap_or(name);
    let tag = format!(".cpython-{major}{minor}.pyc");
    [directory, b"__pycache__/", stem, tag.as_bytes()].concat()
}

/// Returns the module whose bytecode lies at `path`, or nothing when no bytecode does.
pub fn module_of(path: &[u8]) -> Option<Vec<u8>> {
    let stem = path.strip_suffix(b".pyc")?;
    let stem = &stem[..stem.iter().rposition(|&byte| byte == b'.')?];
    let slash = stem.iter().rposition(|&byte| byte == b'/')?;
    let directory = stem[..slash].strip_suffix(b"__pycache__")?;
    Some([directory, &stem[slash + 1..], b".py"].concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytecode_lies_where_the_import_system_looks() {
        let python = PythonTarget {
            major: 3,
            minor: 11,
        };
        for (module, bytecode) in [
            ("a/b.py", "a/__pycache__/b.cpython-311.pyc"),
            ("a/b.c.py", "a/__pycache__/b.c.cpython-311.pyc"),
            ("b.py", "__pycache__/b.cpython-311.pyc"),
        ] {
            assert_eq!(bytecode_of(module.as_bytes(), python), bytecode.as_bytes());
            if module.contains('/') {
                assert_eq!(
                    module_of(bytecode.as_bytes()).as_deref(),
                    Some(module.as_bytes())
                );
            }
        }
        for other in [
            "a/__pycache__",
            "a/b.py",
            "a/b.cpython-311.pyc",
            "__pycache__/b.pyc",
        ] {
            assert_eq!(module_of(other.as_bytes()), None, "{other}");
        }
    }
}
