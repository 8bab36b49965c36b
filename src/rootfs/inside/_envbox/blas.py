"""Asks the libraries of linear algebra that others compute with: OpenBLAS and BLIS."""

import os
import sys

#: Their names of processors, by the lowest baseline.
OPENBLAS = dict.fromkeys("generic prescott core2 penryn dunnington nehalem".split(), 0)
OPENBLAS.update(dict.fromkeys("sandybridge haswell zen bulldozer piledriver".split(), 1))
OPENBLAS.update(dict.fromkeys("steamroller excavator".split(), 1))
OPENBLAS.update({"skylakex": 2})
BLIS = dict.fromkeys("generic penryn".split(), 0)
BLIS.update(dict.fromkeys("sandybridge haswell zen zen2 zen3".split(), 1))
BLIS.update(dict.fromkeys("bulldozer piledriver steamroller excavator".split(), 1))
BLIS.update({"skx": 2})
#: The one of each baseline that `BLIS_ARCH_TYPE` asks for, which takes its number.
BLIS_PINNED = ("penryn", "haswell", "skx")

#: By which others load these libraries, whoever packaged them.
SHARED = ("libopenblas.so.0", "libblis.so.4")


def of_package(library, package):
    """Asks the library that a wheel brought with it, or that all share, if it is loaded already."""

    def ask():
        import ctypes

        for path in [*_of_wheel(package), *SHARED]:
            try:
                loaded = ctypes.CDLL(path, mode=os.RTLD_NOLOAD)
            except OSError:
                continue
            if hasattr(loaded, "bli_arch_query_id"):
                return _blis(library, ctypes, loaded)
            return _openblas(library, ctypes, loaded)
        library.unread("OPENBLAS_CORETYPE", os.environ.get("OPENBLAS_CORETYPE", ""))

    library.attempt("OPENBLAS_CORETYPE", ask)


def _of_wheel(package):
    wheel = os.path.dirname(sys.modules[package].__file__)
    places = (wheel + ".libs", os.path.join(wheel, ".libs"))
    for place in filter(os.path.isdir, places):
        for file in sorted(os.listdir(place)):
            if "openblas" in file:
                yield os.path.join(place, file)


def _openblas(library, ctypes, loaded):
    for prefix in ("scipy_openblas_get_", "openblas_get_"):
        for suffix in ("64_", "", "_64", "64"):
            corename = getattr(loaded, prefix + "corename" + suffix, None)
            if corename is None:
                continue
            corename.restype = ctypes.c_char_p
            found = corename().decode().lower()
            library.instructions("OPENBLAS_CORETYPE", OPENBLAS, [found])
            library.unread("OPENBLAS_L2_SIZE", os.environ.get("OPENBLAS_L2_SIZE", ""))
            threads = getattr(loaded, prefix + "num_threads" + suffix)
            return library.threads("OPENBLAS_NUM_THREADS", threads())
    library.unread("OPENBLAS_CORETYPE", os.environ.get("OPENBLAS_CORETYPE", ""))


def of_blis(library):
    """Asks the BLIS that is linked into the package `blis`."""

    def ask():
        import ctypes

        file = sys.modules["blis.cy"].__file__
        _blis(library, ctypes, ctypes.CDLL(file, mode=os.RTLD_NOLOAD), file)

    library.attempt("BLIS_ARCH_TYPE", ask)


def _blis(library, ctypes, loaded, file=None):
    # Before this it has no list of processors, and ends the process for a number that is not in it.
    loaded.bli_init()
    loaded.bli_arch_string.restype = ctypes.c_char_p
    found = loaded.bli_arch_string(loaded.bli_arch_query_id()).decode()
    pinned = None if library.level is None else BLIS_PINNED[library.level]
    if found != pinned and file is not None and not _reads(file, b"BLIS_ARCH_TYPE"):
        # BLIS does since 0.8, which is in the wheels of PyPI from 0.9 to 1.1 alone.
        found += ", its own choice for this processor"
        return library.tell("BLIS_ARCH_TYPE", pinned or "", found, "not-held")
    library.instructions("BLIS_ARCH_TYPE", BLIS, [found])


def _reads(file, variable):
    """Says whether a library knows a variable by its name."""
    import mmap

    with open(file, "rb") as opened:
        with mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ) as content:
            return content.find(variable + b"\0") >= 0
