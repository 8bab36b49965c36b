"""Holds the libraries of a step that have to be asked from inside their process.

Loaded at every start of Python by `envbox.pth`, so it does next to nothing: it puts a finder before
all others that knows the names of a few libraries. When a step imports one of them, `libraries`
sets what makes its results the same each time, and reads back what the sandbox's variables were to
bring about. The C library, which is there already, is asked at once. No library is imported by it, no
clock is read and no random number drawn.
"""

import os
import sys

#: Libraries that `libraries` has something to do for, by the module whose import it waits for.
WATCHED = frozenset(
    (
        "blis",
        "cv2",
        "jaxlib",
        "jaxlib.xla_client",
        "joblib",
        "lightgbm",
        "matplotlib.font_manager",
        "mkl",
        "multiprocessing.managers",
        "numba",
        "numpy",
        "polars",
        "pyarrow",
        "scipy.linalg",
        "sklearn",
        "tensorflow",
        "timeit",
        "tokenizers",
        "torch",
        "torch.utils.benchmark.utils.timer",
        "tqdm",
        "xgboost",
    )
)

#: `ENVBOX_CPU_BASELINE`, lowest first.
BASELINES = ("x86-64-v2", "x86-64-v3", "x86-64-v4")


class NotHeld(RuntimeError):
    """A library computes otherwise than the sandbox promises.

    No `ImportError`: programs take that for "not installed" and go on without the library.
    """


class Finder:
    """Finds nothing itself: it asks those after it, and has the loader tell when it is done."""

    @classmethod
    def find_spec(cls, name, path=None, target=None):
        if name not in WATCHED:
            return None
        finders = list(sys.meta_path)
        ours = finders.index(cls) if cls in finders else -1
        # Those before it were asked, and found nothing.
        for finder in finders[ours + 1 :]:
            find = getattr(finder, "find_spec", None)
            spec = find(name, path, target) if find is not None else None
            if spec is not None:
                watch(name, spec)
                return spec
        return None


def watch(name, spec):
    """Has `loaded` called when the module of `spec` was executed."""
    loader = spec.loader
    try:
        execute = prepared(name, loader.exec_module)

        def exec_module(module):
            # The loader is as it was from here on, for whoever looks at it.
            del loader.exec_module
            execute(module)
            loaded(name, module)

        loader.exec_module = exec_module
    except Exception as error:
        failed(name, error)


def prepared(name, execute):
    """Returns how to execute a module for which something has to be done before."""
    if name != "matplotlib.font_manager" or not turns("matplotlib"):
        return execute
    from . import timing

    return timing.without_timer(execute)


def turns(name):
    """Whether the manifest lets knobs of this library be turned."""
    knobs = os.environ.get("ENVBOX_FRAMEWORK_KNOBS")
    return knobs is None or name in knobs.split(",")


def loaded(name, module):
    """Holds a library that was imported; raises when it cannot be held."""
    try:
        from . import libraries

        libraries.hold(name, module)
    except NotHeld:
        raise
    except Exception as error:
        failed(name, error)


def failed(name, error):
    """Tells that the hook itself did not work. The program does not depend on it."""
    try:
        from . import channel

        channel.tell(name, "", "hook", "", "%s: %s" % (type(error).__name__, error), "unknown")
    except Exception:
        pass


def c_library():
    """Ends this process if the C library, which no import brings, computes otherwise than promised."""
    try:
        from . import glibc

        level = BASELINES.index(os.environ["ENVBOX_CPU_BASELINE"])
        beyond = any(glibc.LEVELS[name] > level for name in glibc.active())
    except Exception:
        # Another C library, an older one, or a Python without `_ctypes`: told with the first library.
        return
    if not beyond:
        return
    try:
        from . import libraries

        libraries.hold("glibc", None)
    except Exception as error:
        # What is raised below a `.pth` file is printed and passed over.
        os.write(2, ("%s.%s: %s\n" % (__name__, type(error).__name__, error)).encode())
    os._exit(1)


#: How long a thread waits for the interpreter until it asks for it, in seconds: the default is 0.005.
#: A logical clock does not count waits of this length, which are as many as the host's load wants.
SWITCH_INTERVAL = 0.005017

def ended():
    """Tells what this process had loaded for the GPU that the step was given."""
    try:
        from . import gpu

        gpu.tell()
    except Exception as error:
        failed("gpu", error)


if "ENVBOX" in os.environ:
    sys.setswitchinterval(SWITCH_INTERVAL)
    sys.meta_path.insert(0, Finder)
    c_library()
if "ENVBOX_GPU" in os.environ:
    import atexit

    atexit.register(ended)
