"""Asks oneDNN, which is linked into frameworks: it says what it uses when it first does something."""

import os
import sys

VARIABLE = "ONEDNN_MAX_CPU_ISA"

#: What it takes, and what it says it uses, behind the name of a maker, by the lowest baseline.
TAKES = {"SSE41": 0, "AVX": 1, "AVX2": 1, "AVX512_CORE": 2}
SAYS = {"SSE4.1": 0, "AVX": 1, "AVX2": 1}
SAYS["AVX-512 with AVX512BW, AVX512VL, and AVX512DQ extensions"] = 2

#: What a program sets that wants to hear more, which asking would end.
VERBOSE = ("ONEDNN_VERBOSE", "DNNL_VERBOSE")
#: Its first lines alone: they come whatever the filter lets through, which is nothing of this name
#: (`verbose.cpp`, 3.3 to 3.7; later ones are not heard). TensorFlow has no call to silence it again.
FIRST_LINES = "profile_exec,filter=nothing"
#: The first TensorFlow whose oneDNN has filters.
FILTERS = [2, 16]


def of_torch(library):
    if any(name in os.environ for name in VERBOSE):
        return library.variable(VARIABLE, TAKES)
    torch, verbose = library.module, library.module._C._verbose.mkldnn_set_verbose

    def work():
        verbose(1)
        try:
            torch.ones(2, 2).to_mkldnn()
        finally:
            verbose(0)

    if not _heard(library, work):
        library.variable(VARIABLE, TAKES)


def of_tensorflow(library):
    """Looks at the variable now, and asks behind what starts the runtime for the first operation.

    Asking itself would start it, and until then the program may choose its devices and threads.
    """
    library.variable(VARIABLE, TAKES)
    version = [int(number) for number in library.version.split(".")[:2]]
    if version < FILTERS or any(name in os.environ for name in VERBOSE):
        return
    runtime = sys.modules["tensorflow.python.eager.context"]
    context, initialize = runtime.Context, runtime.Context.ensure_initialized

    def ask():
        _heard(library, lambda: _multiply(library.module, runtime))

    def ensure_initialized(self):
        initialize(self)
        # What asks comes here again.
        context.ensure_initialized = initialize
        if not library.failures:
            library.attempt(VARIABLE, ask)
        if library.failures:
            # A program that passes over the error gets it again.
            context.ensure_initialized = ensure_initialized
        library.check()

    context.ensure_initialized = ensure_initialized


def _multiply(tensorflow, runtime):
    os.environ[VERBOSE[0]] = FIRST_LINES
    try:
        # Else it might become a part of the program's graph.
        with runtime.eager_mode(), tensorflow.device("/CPU:0"):
            one = tensorflow.constant([[1.0]])
            tensorflow.raw_ops.MatMul(a=one, b=one)
    finally:
        del os.environ[VERBOSE[0]]


def _heard(library, work):
    """Compares what oneDNN says it uses while it does something; says whether it said so."""
    for line in _printed(work):
        if line.startswith(b"onednn_verbose,") and b",cpu,isa:" in line:
            # "Intel AVX2", on processors of others too.
            found = line.split(b",cpu,isa:")[1].decode().strip().partition(" ")[2]
            library.instructions(VARIABLE, SAYS, [found])
            return True
    return False


def _printed(work):
    """Does something whose C code prints, and returns the lines. Those of others are passed on."""
    import ctypes

    flush = ctypes.CDLL(None).fflush
    flush(None)
    file, output = os.memfd_create("printed"), os.dup(1)
    try:
        os.dup2(file, 1)
        try:
            work()
        finally:
            flush(None)
            os.dup2(output, 1)
        lines = os.pread(file, 1 << 16, 0).splitlines(keepends=True)
    finally:
        os.close(file)
        os.close(output)
    for line in lines:
        if not line.startswith(b"onednn_verbose,"):
            os.write(1, line)
    return lines
