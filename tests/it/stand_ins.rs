//! What stands in for libraries that the import hook knows, and a process that has it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

/// What stands in for a NumPy whose code for `X86_V4` is on.
pub const NUMPY: &str = r#"
__version__ = "9.1"
import sys, types
core = types.ModuleType("numpy._core._multiarray_umath")
core.__cpu_baseline__ = ["X86_V2"]
core.__cpu_dispatch__ = ["X86_V3", "X86_V4"]
# The processor has AVX512F, and no code depends on it.
core.__cpu_features__ = {"X86_V2": True, "X86_V3": True, "X86_V4": V4, "AVX512F": True}
sys.modules[core.__name__] = core
"#;

/// What stands in for PyTorch, and notes what it was told.
pub const TORCH: &str = r#"
__version__ = "9.2"
import os, types
told, verbose = [], []
_C = types.SimpleNamespace(
    _set_deterministic_algorithms=lambda mode, warn_only: told.append((mode, warn_only)),
    _verbose=types.SimpleNamespace(mkldnn_set_verbose=verbose.append))
def to_mkldnn():
    assert verbose == [1]
    os.write(1, b"onednn_verbose,v1,info,cpu,isa:Intel ISA\nnot oneDNN's\n")
ones = lambda *size: types.SimpleNamespace(to_mkldnn=to_mkldnn)
is_deterministic_algorithms_warn_only_enabled = lambda: bool(told)
backends = types.SimpleNamespace(
    cudnn=types.SimpleNamespace(deterministic=False, benchmark=True),
    cpu=types.SimpleNamespace(get_cpu_capability=lambda: "AVX2"))
get_num_threads = lambda: 1
get_num_interop_threads = lambda: 2
"#;

/// What stands in for TensorFlow, whose runtime starts with the first constant.
const TENSORFLOW: &str = r#"
__version__ = "VERSION"
import contextlib, os, sys, types
runtime = types.ModuleType("tensorflow.python.eager.context")
sys.modules[runtime.__name__] = runtime
class Context:
    def ensure_initialized(self):
        pass
runtime.Context, runtime.eager_mode = Context, contextlib.nullcontext
def constant(value):
    Context().ensure_initialized()
def MatMul(a, b):
    if os.environ.get("ONEDNN_VERBOSE") == "profile_exec,filter=nothing":
        os.write(1, b"onednn_verbose,v1,info,cpu,isa:Intel ISA\n")
device, raw_ops = contextlib.nullcontext, types.SimpleNamespace(MatMul=MatMul)
set_threads, get_threads = lambda number: None, lambda: 1
config = types.SimpleNamespace(threading=types.SimpleNamespace(
    set_intra_op_parallelism_threads=set_threads, get_intra_op_parallelism_threads=get_threads,
    set_inter_op_parallelism_threads=set_threads, get_inter_op_parallelism_threads=get_threads))
"#;

/// What stands in for the part of `blis` that BLIS is linked into, and for what asks it.
pub const BLIS: &str = "__file__ = __file__.replace('cy.py', 'linked')\n";
pub const CTYPES: &str = r#"
c_char_p = None
class CDLL:
    def __init__(self, path, mode):
        done = []
        self.bli_init = lambda: done.append(1)
        self.bli_arch_query_id = lambda: done[0]
        self.bli_arch_string = lambda number: b"CHOICE"
"#;

/// What stands in for what asks a C library, where there is none that can be asked.
pub const OTHER_LIBC: &str = r#"
import types
FUNCFLAG_CDECL = 1
class _SimpleCData: pass
class Array: pass
class CFuncPtr: pass
dlopen = lambda path, mode: 1
def dlsym(library, name):
    raise OSError("undefined symbol: " + name)
"#;

/// What stands in for jaxlib.
const JAXLIB: &str = "__version__ = \"0.7.2\"\n";

/// What stands in for XLA's part that makes clients, and tells what became of the flags.
const XLA_CLIENT: &str = r#"
import os, types
def make_cpu_client(**options):
    return "client", options
def CompileOptions():
    isa = os.environ["XLA_FLAGS"].split("isa=")[1].split(" ")[0].encode()
    data = b"\0\xd8\x14 \xea\x14" + bytes([len(isa)]) + isa + b"\xf0\x14\0"
    return types.SimpleNamespace(
        executable_build_options=types.SimpleNamespace(debug_options=None),
        SerializeAsString=lambda: data)
"#;

/// A directory with the stand-ins, and what the hook told.
pub struct Case {
    directory: tempfile::TempDir,
}

impl Case {
    pub fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        fs::create_dir(directory.path().join("jaxlib")).unwrap();
        for (name, text) in [
            ("numpy.py", &*NUMPY.replace("V4,", "False,")),
            ("torch.py", &*TORCH.replace("ISA", "AVX2")),
            ("jaxlib/__init__.py", JAXLIB),
            ("jaxlib/xla_client.py", XLA_CLIENT),
            ("broken.py", "raise ImportError('its own')"),
        ] {
            fs::write(directory.path().join(name), text).unwrap();
        }
        fs::write(directory.path().join("held"), "").unwrap();
        Self { directory }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub fn write_tensorflow(&self, version: &str, isa: &str) {
        let text = TENSORFLOW
            .replace("VERSION", version)
            .replace(" ISA", &format!(" {isa}"));
        fs::write(self.path("tensorflow.py"), text).unwrap();
    }

    /// Runs Python with the hook as a step would, its channel in the case's directory.
    pub fn python(&self, program: &str, environment: &[(&str, &str)]) -> Output {
        let inside = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/rootfs/inside");
        let program = format!(
            "import sys; sys.path[:0] = [{inside:?}, {:?}]\nimport _envbox, _envbox.channel\n\
             _envbox.channel.PATH = {:?}\n{program}",
            self.directory.path(),
            self.path("held"),
        );
        let mut command = Command::new("python3");
        command.args(["-I", "-B", "-c", &program]).env_clear();
        command.env("PATH", "/usr/bin:/bin");
        command.envs(environment.iter().copied());
        command.output().unwrap()
    }

    /// Returns what was told: library, name, found and state.
    pub fn told(&self) -> String {
        let text = fs::read_to_string(self.path("held")).unwrap();
        let lines = text.lines().map(|line| {
            let told: Value = serde_json::from_str(line).unwrap();
            let field = |name: &str| told[name].as_str().unwrap().to_owned();
            let (library, name) = (field("library"), field("name"));
            format!(
                "{library} {name}: {} ({})\n",
                field("found"),
                field("state")
            )
        });
        lines.collect()
    }
}

pub const STEP: [(&str, &str); 5] = [
    ("ENVBOX", "1"),
    ("ENVBOX_CPUS", "1"),
    ("ENVBOX_CPU_BASELINE", "x86-64-v3"),
    (
        "GLIBC_TUNABLES",
        "glibc.cpu.hwcaps=-AVX512F,-AVX512CD,-AVX512BW,-AVX512DQ,-AVX512VL,-FMA4",
    ),
    ("MKL_CBWR", "AVX2"),
];

pub fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
