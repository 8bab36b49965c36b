"""Tells which libraries for GPUs a process had loaded when it ends, and their versions.

Results depend on them, and which of several installed ones is loaded is known to the process
alone. They are asked by calls that start no GPU.
"""

import ctypes
import os
import sys

from . import channel


def _plain(call):
    """A function that writes its number."""

    def ask(library):
        number = ctypes.c_int()
        if getattr(library, call)(ctypes.byref(number)) == 0:
            return str(number.value)

    return ask


def _parts(call):
    """A function that writes one part of a version at a time: major, minor, patch."""

    def ask(library):
        number = ctypes.c_int()
        parts = []
        for part in range(3):
            if getattr(library, call)(part, ctypes.byref(number)) != 0:
                return None
            parts.append(str(number.value))
        return ".".join(parts)

    return ask


def _returned(library):
    library.cudnnGetVersion.restype = ctypes.c_size_t
    return str(library.cudnnGetVersion())


def _two(library):
    major, minor = ctypes.c_int(), ctypes.c_int()
    if library.nvrtcVersion(ctypes.byref(major), ctypes.byref(minor)) == 0:
        return "%d.%d" % (major.value, minor.value)


#: How each library tells its version, by its name before `.so`.
LIBRARIES = {
    "libcublas": _parts("cublasGetProperty"),
    "libcublasLt": _parts("cublasLtGetProperty"),
    "libcuda": _plain("cuDriverGetVersion"),
    "libcudart": _plain("cudaRuntimeGetVersion"),
    "libcudnn": _returned,
    "libcufft": _plain("cufftGetVersion"),
    "libcurand": _plain("curandGetVersion"),
    "libcusolver": _plain("cusolverGetVersion"),
    "libcusparse": _parts("cusparseGetProperty"),
    "libnccl": _plain("ncclGetVersion"),
    "libnvrtc": _two,
}


def mapped():
    """Returns the paths of known libraries that this process has mapped, by name."""
    found = {}
    with open("/proc/self/maps", encoding="utf-8", errors="replace") as maps:
        for line in maps:
            path = line.rstrip("\n").partition("/")[2]
            name = os.path.basename(path).partition(".so")[0]
            if name in LIBRARIES:
                found[name] = "/" + path
    return found


def tell():
    """Tells of every one."""
    for name, path in sorted(mapped().items()):
        try:
            # It is loaded: this counts one user more.
            version = LIBRARIES[name](ctypes.CDLL(path))
        except Exception:
            version = None
        file = os.path.basename(path)
        channel.tell(name, version or "", file, "", path, "loaded")
    triton = sys.modules.get("triton")
    if triton is not None:
        version = str(getattr(triton, "__version__", ""))
        path = str(getattr(triton, "__file__", ""))
        channel.tell("triton", version, "triton", "", path, "loaded")
