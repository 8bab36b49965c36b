"""Asks OpenBLAS, with which others compute."""

import os
import sys

#: Its names of processors, by the lowest baseline.
OPENBLAS = dict.fromkeys("generic prescott core2 penryn dunnington nehalem".split(), 0)
OPENBLAS.update(dict.fromkeys("sandybridge haswell zen bulldozer piledriver".split(), 1))
OPENBLAS.update(dict.fromkeys("steamroller excavator".split(), 1))
OPENBLAS.update({"skylakex": 2})


def of_package(library, package):
    """Asks the library that a wheel brought with it. It is loaded already, or it is not asked."""

    def ask():
        import ctypes

        wheel = os.path.dirname(sys.modules[package].__file__)
        places = (wheel + ".libs", os.path.join(wheel, ".libs"))
        for place in filter(os.path.isdir, places):
            for file in sorted(os.listdir(place)):
                if "openblas" in file:
                    path = os.path.join(place, file)
                    return _openblas(library, ctypes, ctypes.CDLL(path, mode=os.RTLD_NOLOAD))
        library.unread("OPENBLAS_CORETYPE", os.environ.get("OPENBLAS_CORETYPE", ""))

    library.attempt("OPENBLAS_CORETYPE", ask)


def _openblas(library, ctypes, loaded):
    for prefix in ("scipy_openblas_get_", "openblas_get_"):
        for suffix in ("64_", "", "_64", "64"):
            corename = getattr(loaded, prefix + "corename" + suffix, None)
            if corename is None:
                continue
            corename.restype = ctypes.c_char_p
            found = corename().decode().lower()
            library.instructions("OPENBLAS_CORETYPE", OPENBLAS, [found])
            threads = getattr(loaded, prefix + "num_threads" + suffix)
            return library.threads("OPENBLAS_NUM_THREADS", threads())
    library.unread("OPENBLAS_CORETYPE", os.environ.get("OPENBLAS_CORETYPE", ""))
