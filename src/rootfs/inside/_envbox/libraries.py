"""What is done for each library, once its module was executed.

Two things: a *knob* is a call or an attribute that makes a library repeat itself; it is set where
the library cannot raise for it, and the manifest can turn it off (`framework-knobs`). A *pin* is a
variable of the sandbox's that the library has read by now; it is read back, and where the library
uses instructions beyond the baseline the import fails: its results would be another machine's.
"""

import os
import sys

from . import BASELINES, NotHeld, blas, channel, onednn, timing, turns

#: The lowest baseline at which each library's own names for instructions are allowed.
NUMPY = dict.fromkeys(("SSE SSE2 SSE3 SSSE3 SSE41 POPCNT SSE42 X86_V2").split(), 0)
NUMPY.update(dict.fromkeys("AVX F16C FMA3 AVX2 X86_V3".split(), 1))
NUMPY.update(dict.fromkeys("AVX512F AVX512CD AVX512_SKX X86_V4".split(), 2))
TORCH = {"DEFAULT": 0, "NO AVX": 0, "AVX2": 1, "AVX512": 2}
ARROW = {"none": 0, "sse4_2": 0, "avx": 1, "avx2": 1, "avx512": 2}
#: What XLA calls the baselines.
XLA = ("SSE4_2", "AVX2", "AVX512")
XLA_LEVELS = {"SSE4_2": 0, "AVX": 1, "AVX2": 1, "AVX512": 2}
#: MKL's branches of code (`mkl_types.h`), and those that are none.
MKL = {"compatible": 0, "SSE2": 0, "SSSE3": 0, "SSE4_1": 0, "SSE4_2": 0, "AVX": 1, "AVX2": 1}
MKL.update({"AVX512_MIC": 2, "AVX512": 2})
MKL_BRANCHES = {3: "compatible", 4: "SSE2", 6: "SSSE3", 7: "SSE4_1", 8: "SSE4_2", 9: "AVX", 10: "AVX2"}
MKL_BRANCHES.update({11: "AVX512_MIC", 12: "AVX512"})
MKL_OWN_CHOICE = (1, 2)


class Library:
    """One library of this process."""

    def __init__(self, name, module):
        version = getattr(module, "__version__", "")
        self.name = name
        self.module = module
        self.version = version if isinstance(version, str) else ""
        self.failures = []
        self.knobs = turns(name.replace("jaxlib", "jax"))
        self.cpus = int(os.environ.get("ENVBOX_CPUS") or 0)
        baseline = os.environ.get("ENVBOX_CPU_BASELINE")
        self.level = BASELINES.index(baseline) if baseline in BASELINES else None

    def tell(self, name, wanted, found, state):
        channel.tell(self.name, self.version, name, wanted, found, state)

    def unread(self, name, wanted):
        """Tells that a variable was set and that nothing can be asked."""
        self.tell(name, wanted, "not read back", "set")

    def instructions(self, name, levels, found):
        """Compares the names of instructions in use with the baseline."""
        if self.level is None or not found:
            return self.tell(name, "", " ".join(found), "unknown")
        wanted = "nothing beyond " + BASELINES[self.level]
        beyond = [one for one in found if levels.get(one, len(BASELINES)) > self.level]
        if not beyond:
            return self.tell(name, wanted, " ".join(found), "held")
        self.tell(name, wanted, " ".join(beyond), "failed")
        self.failures.append((name, " ".join(beyond)))

    def variable(self, name, levels):
        """Looks at a variable of a library that cannot be asked: it ignores values it does not know."""
        value = os.environ.get(name, "")
        if self.level is None or levels.get(value.upper(), len(BASELINES)) <= self.level:
            return self.unread(name, value)
        self.instructions(name, levels, [value or "not set"])

    def threads(self, name, found):
        """Compares a number of threads with that of the processors. Fewer were asked for."""
        held = "held" if found <= self.cpus else "not-held"
        self.tell(name, self.cpus, found, held if self.cpus else "unknown")

    def knob(self, name, wanted, setter, getter=None):
        """Sets something, and reads it back."""
        if not self.knobs:
            return
        try:
            setter()
            found = getter() if getter else None
        except Exception as error:
            return self.tell(name, wanted, "%s: %s" % (type(error).__name__, error), "not-held")
        if getter is None:
            return self.unread(name, wanted)
        self.tell(name, wanted, found, "held" if found == wanted else "not-held")

    def attempt(self, name, read):
        """Does what may fail because a version of the library lacks it."""
        try:
            read()
        except Exception as error:
            self.tell(name, "", "%s: %s" % (type(error).__name__, error), "unknown")

    def check(self):
        """Raises if the library computes otherwise than it should."""
        if self.failures:
            name = ("%s %s" % (self.name, self.version)).strip()
            reasons = ", ".join("%s is %s" % failure for failure in self.failures)
            raise NotHeld(
                "%s computes with instructions beyond %s, the baseline of this step: %s. Do not "
                "set that variable in `env` of `[sandbox]` or with `--env`; or set `cpu-baseline` in "
                "the manifest." % (name, BASELINES[self.level], reasons)
            )


def hold(name, module):
    """Sets and reads back what there is of the library `name`, and of the C library below it."""
    for library in (Library("glibc", None), Library(name, module)):
        LIBRARIES[library.name](library)
        library.check()


def c_library(library):
    def ask():
        from . import glibc

        library.version = os.confstr("CS_GNU_LIBC_VERSION").partition(" ")[2]
        library.instructions("GLIBC_TUNABLES", glibc.LEVELS, glibc.active())

    library.attempt("GLIBC_TUNABLES", ask)


def numpy(library):
    core = sys.modules.get("numpy._core._multiarray_umath")
    core = core or sys.modules.get("numpy.core._multiarray_umath")

    def features():
        # Others are on as well in the list of what the processor has; no code depends on them.
        on = core.__cpu_features__
        used = list(core.__cpu_baseline__) + list(core.__cpu_dispatch__)
        used = [feature for feature in used if on.get(feature)]
        library.instructions("NPY_DISABLE_CPU_FEATURES", NUMPY, used)

    library.attempt("NPY_DISABLE_CPU_FEATURES", features)
    blas.of_package(library, "numpy")


def scipy(library):
    blas.of_package(library, "scipy")


def blis(library):
    blas.of_blis(library)


def torch(library):
    torch = library.module
    # The public function imports the compiler's settings first, which takes a second.
    library.knob(
        "use_deterministic_algorithms",
        "warn only",
        lambda: torch._C._set_deterministic_algorithms(True, warn_only=True),
        lambda: "warn only" if torch.is_deterministic_algorithms_warn_only_enabled() else "off",
    )
    cudnn = torch.backends.cudnn
    for name, wanted in (("deterministic", True), ("benchmark", False)):
        library.knob(
            "backends.cudnn." + name,
            wanted,
            lambda: setattr(cudnn, name, wanted),
            lambda: getattr(cudnn, name),
        )
    library.attempt(
        "ATEN_CPU_CAPABILITY",
        lambda: library.instructions(
            "ATEN_CPU_CAPABILITY", TORCH, [torch.backends.cpu.get_cpu_capability()]
        ),
    )
    library.attempt(
        "OMP_NUM_THREADS", lambda: library.threads("OMP_NUM_THREADS", torch.get_num_threads())
    )
    # Reading is all: it can be set once, which is the program's to do.
    library.attempt(
        "get_num_interop_threads",
        lambda: library.threads("get_num_interop_threads", torch.get_num_interop_threads()),
    )
    library.attempt("MKL_CBWR", lambda: _mkl(library))
    library.attempt(onednn.VARIABLE, lambda: onednn.of_torch(library))


def _mkl(library):
    """Asks the MKL that is linked into PyTorch."""
    import ctypes

    path = os.path.join(os.path.dirname(library.module.__file__), "lib", "libtorch_cpu.so")
    if not os.path.exists(path):
        return library.variable("MKL_CBWR", MKL)
    ask = ctypes.CDLL(path, mode=os.RTLD_NOLOAD).mkl_serv_cbwr_get
    ask.restype = ctypes.c_int
    #: `MKL_CBWR_BRANCH`; the bits above are flags.
    found = ask(1) & 0xFFFF
    wanted = os.environ.get("MKL_CBWR", "")
    if found in MKL_OWN_CHOICE and MKL.get(wanted.split(",")[0], len(BASELINES)) <= (library.level or 0):
        # It does not take the variable on processors that are not Intel's.
        return library.tell("MKL_CBWR", wanted, "its own choice for this processor", "not-held")
    library.instructions("MKL_CBWR", MKL, [MKL_BRANCHES.get(found, "its own choice (%d)" % found)])


def tensorflow(library):
    config = library.module.config
    # Reading `config` may import more of it; all of it is there by the end of its own import.
    for kind in ("intra_op", "inter_op"):
        name = "%s_parallelism_threads" % kind
        library.knob(
            "config.threading.set_" + name,
            library.cpus,
            lambda: getattr(config.threading, "set_" + name)(library.cpus),
            lambda: getattr(config.threading, "get_" + name)(),
        )
    # It would make programs fail that set no seed, or use an operation without such code. One
    # thread needs none; with more, it is the program's to ask for.
    library.tell("config.experimental.enable_op_determinism", "", "left to the program", "unknown")
    library.attempt(onednn.VARIABLE, lambda: onednn.of_tensorflow(library))


def jaxlib(library):
    """XLA reads its flags when the first backend starts, which no import does."""
    if not _can_limit_xla(library):
        return library.tell("--xla_cpu_max_isa", "", "unknown to this version", "unknown")
    wanted = XLA[library.level]
    library.knob("--xla_cpu_max_isa", wanted, lambda: _limit_xla(wanted))


def _can_limit_xla(library):
    numbers = library.version.split(".")[:3]
    # Older ones do not know the flag, and end the process for it.
    return library.level is not None and [int(number) for number in numbers] >= [0, 4, 20]


def _limit_xla(wanted):
    flags = os.environ.get("XLA_FLAGS", "")
    if "--xla_cpu_max_isa" not in flags:
        # First: it does not read on behind a word that is no flag.
        os.environ["XLA_FLAGS"] = ("--xla_cpu_max_isa=%s %s" % (wanted, flags)).strip()


def xla_client(library):
    """Reads back what XLA made of its flags, when it has read them: with the first client."""
    module = library.module
    make = module.make_cpu_client
    library = Library("jaxlib", sys.modules["jaxlib"])
    if not library.knobs or not _can_limit_xla(library):
        return

    def ask():
        options = module.CompileOptions()
        # Looking at it fills it from the flags.
        options.executable_build_options.debug_options
        data = options.SerializeAsString()
        # Field 333 of `DebugOptions` (`xla.proto`), its size and its text.
        tag = data.find(b"\xea\x14")
        size = data[tag + 2]
        found = data[tag + 3 : tag + 3 + size].decode() if tag >= 0 else ""
        library.instructions("--xla_cpu_max_isa", XLA_LEVELS, [found or "no limit"])

    def make_cpu_client(*arguments, **named):
        # The program may have set the variable to something else since.
        _limit_xla(XLA[library.level])
        client = make(*arguments, **named)
        library.attempt("--xla_cpu_max_isa", ask)
        library.check()
        return client

    module.make_cpu_client = make_cpu_client


def joblib(library):
    name = "JOBLIB_MULTIPROCESSING"
    wanted = os.environ.get(name)

    def serial():
        found = library.module.parallel.mp is None
        library.tell(name, wanted, int(not found), "held" if found else "not-held")

    if wanted == "0":
        library.attempt(name, serial)


def numba(library):
    config = library.module.config
    for variable in ("NUMBA_CPU_NAME", "NUMBA_CPU_FEATURES"):
        wanted = os.environ.get(variable)
        found = getattr(config, variable[len("NUMBA_") :], None)
        held = "held" if found == wanted else "not-held"
        library.tell(variable, wanted, found, held if wanted is not None else "unknown")
    library.attempt(
        "NUMBA_NUM_THREADS", lambda: library.threads("NUMBA_NUM_THREADS", config.NUMBA_NUM_THREADS)
    )


def pyarrow(library):
    arrow = library.module

    def level():
        found = arrow.runtime_info().simd_level
        library.instructions("ARROW_USER_SIMD_LEVEL", ARROW, [found])

    library.attempt("ARROW_USER_SIMD_LEVEL", level)
    library.knob("set_cpu_count", library.cpus, lambda: arrow.set_cpu_count(library.cpus), arrow.cpu_count)


def cv2(library):
    cv2 = library.module
    library.knob("setNumThreads", library.cpus, lambda: cv2.setNumThreads(library.cpus), cv2.getNumThreads)

    def features():
        words = cv2.getCPUFeaturesLine().split()
        used = [word.strip("*") for word in words if "?" not in word]
        beyond = [word for word in used if word.startswith("AVX512")]
        if library.level is not None and library.level < 2:
            state = "not-held" if beyond else "held"
            library.tell("OPENCV_CPU_DISABLE", "no AVX512", " ".join(used), state)

    library.attempt("OPENCV_CPU_DISABLE", features)


def polars(library):
    library.attempt(
        "POLARS_MAX_THREADS",
        lambda: library.threads("POLARS_MAX_THREADS", library.module.thread_pool_size()),
    )


def mkl(library):
    library.attempt(
        "MKL_NUM_THREADS",
        lambda: library.threads("MKL_NUM_THREADS", library.module.get_max_threads()),
    )
    library.variable("MKL_CBWR", MKL)


def fonts(library):
    timing.of_matplotlib(Library("matplotlib", sys.modules["matplotlib"]))


def managers(library):
    timing.of_managers(Library("multiprocessing", library.module))


def benchmark(library):
    timing.of_torch(Library("timeit", library.module))


def unread(library):
    """For libraries that cannot be asked, or that take everything as arguments of each call."""
    library.unread("OMP_NUM_THREADS", os.environ.get("OMP_NUM_THREADS", ""))


def rayon(library):
    library.unread("RAYON_NUM_THREADS", os.environ.get("RAYON_NUM_THREADS", ""))


LIBRARIES = {
    "blis": blis,
    "cv2": cv2,
    "glibc": c_library,
    "jaxlib": jaxlib,
    "jaxlib.xla_client": xla_client,
    "joblib": joblib,
    "lightgbm": unread,
    "matplotlib.font_manager": fonts,
    "mkl": mkl,
    "multiprocessing.managers": managers,
    "numba": numba,
    "numpy": numpy,
    "polars": polars,
    "pyarrow": pyarrow,
    "scipy.linalg": scipy,
    "sklearn": unread,
    "tensorflow": tensorflow,
    "timeit": timing.of_timeit,
    "tokenizers": rayon,
    "torch": torch,
    "torch.utils.benchmark.utils.timer": benchmark,
    "tqdm": timing.of_tqdm,
    "xgboost": unread,
}
