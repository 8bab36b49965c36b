"""Builds glibc's own tests against the libc that is installed, and runs them.

    suite.py build SOURCES   compiles what `tests.toml` names, into `built`
    suite.py run [NAMES...]  runs all of it; prints what did not pass, and how many did. Tests named
                             with a `-` before them are not run, others are known to fail

A test passes that ends with 0: glibc's convention, in which 77 says that it has nothing to test.
"""

import concurrent.futures
import fnmatch
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import tomllib

HERE = pathlib.Path(__file__).resolve().parent
BUILT = HERE / "built"
CHOSEN = tomllib.loads((HERE / "tests.toml").read_text())

# Searched after the installed headers: what those have not, is glibc's own.
INTERNAL = """
    . include sysdeps/unix/sysv/linux/x86_64/64 sysdeps/unix/sysv/linux/x86_64
    sysdeps/unix/sysv/linux/x86 sysdeps/x86_64/nptl sysdeps/x86/nptl sysdeps/unix/sysv/linux
    sysdeps/nptl sysdeps/pthread sysdeps/x86_64 sysdeps/x86 sysdeps/wordsize-64 sysdeps/generic nptl
    support posix sysvipc
""".split()

# What the tests' library believes of the installation.
PLACES = {
    "SRCDIR": "/", "OBJDIR": str(BUILT), "OBJDIR_ELF_LDSO": "/lib64/ld-linux-x86-64.so.2",
    "INSTDIR": "/usr", "LIBDIR": "/usr/lib/x86_64-linux-gnu", "BINDIR": "/usr/bin",
    "SBINDIR": "/usr/sbin", "SLIBDIR": "/lib/x86_64-linux-gnu", "ROOTSBINDIR": "/sbin",
    "COMPLOCALEDIR": str(BUILT / "locale"),
}

# Names of files that are parts of tests.
PARTS = r"-time64$|-common$|skeleton|-template$|-lib$|-helper$|-uapi$|-self-cleanup$|aux$|mod[a-f0-9]*$"

# A test ends itself after so many times the seconds that it wants on a machine that is not slow.
PATIENCE = {"beside others": "2", "alone": "10"}
# Seconds after which any test ends: the kernel's, on every clock.
LIMIT = "600"


def at_once(workers, function, items):
    with concurrent.futures.ThreadPoolExecutor(workers) as pool:
        return list(pool.map(function, items))


def compile_c(root, source, output, *options):
    """Compiles a file in its directory, as glibc does; returns what the compiler said if it failed."""
    command = ["gcc", "-std=gnu11", "-O1", "-w", "-pipe", "-pthread"]
    command += ["-D_GNU_SOURCE", "-D_ISOMAC", "-DTIMEOUTFACTOR=1", "-DHAVE_MREMAP=1"]
    command += ["-include", str(HERE / "include/before.h"), "-idirafter", str(HERE / "include")]
    command += [word for folder in INTERNAL for word in ("-idirafter", str(root / folder))]
    command += ["-o", str(output), source.name, *options]
    done = subprocess.run(command, cwd=source.parent, capture_output=True, text=True)
    return done.returncode and f"{source.name}: {done.stderr}"


def fail_if(errors):
    if errors := [error for error in errors if error]:
        sys.exit("\n".join(errors))


def library(root, folder):
    """Compiles the library that the tests share."""
    makefile = (root / "support/Makefile").read_text()
    names = re.search(r"libsupport-routines = \\\n(.*?)\n\n", makefile, re.S)[1]
    names = [name for name in names.replace("\\", "").split() if "time64" not in name or "socket" in name]
    places = [f'-D{name}_PATH="{path}"' for name, path in PLACES.items()]

    def one(name):
        large = ["-D_FILE_OFFSET_BITS=64"] if f"CFLAGS-{name}.c += -D_FILE" in makefile else []
        return compile_c(root, root / f"support/{name}.c", folder / f"{name}.o", "-c", *places, *large)

    fail_if(at_once(os.cpu_count(), one, names))
    fail_if([compile_c(root, HERE / "include/stand_ins.c", folder / "stand_ins.o", "-c")])
    archive = folder / "libsupport.a"
    subprocess.run(["ar", "rcs", archive, *folder.glob("*.o")], check=True)
    return archive


def chosen(root):
    """The files of the tests that are taken."""
    left = {name for names in CHOSEN["leave"].values() for name in names}
    files = {}
    for folder, patterns in CHOSEN["take"].items():
        for path in sorted((root / folder).glob("*.c")):
            taken = any(fnmatch.fnmatchcase(path.stem, pattern) for pattern in patterns)
            # Parts of other tests, and the same again for machines of 32 bits.
            part = re.search(PARTS, path.stem)
            if taken and not part:
                files[path.stem] = path
    if unknown := left - files.keys():
        sys.exit(f"left out, but not there: {sorted(unknown)}")
    return [path for name, path in sorted(files.items()) if name not in left]


def options(path):
    """What glibc's makefiles say of how to compile a test."""
    given = CHOSEN["options"].get(path.stem, "").split()
    if "static" in path.stem:
        given.append("-static")
    for makefile in [path.parent / "Makefile", path.parents[1] / "nptl/Makefile"]:
        text = makefile.read_text() if makefile.exists() else ""
        for words in re.findall(rf"^CFLAGS-{re.escape(path.stem)}\.c \+?= (-f.*)", text, re.M):
            given += [word for word in words.split() if word.startswith("-f")]
    return given


def build(archive):
    with tempfile.TemporaryDirectory() as folder:
        with tarfile.open(archive) as tar:
            tar.extractall(folder)
        root, = pathlib.Path(folder).iterdir()
        BUILT.mkdir(exist_ok=True)
        objects = pathlib.Path(folder) / "objects"
        objects.mkdir()
        support = library(root, objects)

        def one(path):
            return compile_c(root, path, BUILT / path.stem, *options(path), str(support))

        fail_if(at_once(os.cpu_count(), one, chosen(root)))
        for name, source in CHOSEN["modules"].items():
            fail_if([compile_c(root, root / source, BUILT / name, "-shared", "-fPIC")])
        for name in CHOSEN["locales"]:
            place, charmap = name.split(".")
            inputs = root / "localedata"
            (BUILT / "locale").mkdir(exist_ok=True)
            command = ["localedef", "--no-archive", "--quiet", "-c", "-i", inputs / "locales" / place]
            command += ["-f", inputs / "charmaps" / charmap, BUILT / "locale" / name]
            made = subprocess.run(command, env=os.environ | {"I18NPATH": str(inputs)})
            if not (BUILT / "locale" / name / "LC_TIME").exists():
                sys.exit(f"no locale {name}: {made.returncode}")


def run_one(program, patience):
    """Runs a test in an empty directory; returns its name, its status and the end of what it said."""
    name = program.name
    folder = pathlib.Path(tempfile.mkdtemp(prefix=f"{name}."))
    # Some read one, as they are run in a directory of glibc's sources.
    (folder / "Makefile").write_text("# nothing\n" * 100)
    words = CHOSEN["arguments"].get(name, "").format(test=program, folder=folder).split("|")
    environment = {
        "PATH": "/usr/bin:/bin", "HOME": str(folder), "TMPDIR": str(folder), "LC_ALL": "C",
        "LD_LIBRARY_PATH": str(BUILT), "LOCPATH": str(BUILT / "locale"), "TIMEOUTFACTOR": patience,
    }
    environment |= CHOSEN["environment"].get(name, {})
    # For those that do not end themselves; what they have started may have the output for longer.
    command = ["timeout", "--signal=KILL", LIMIT, program, *filter(None, words)]
    with tempfile.TemporaryFile() as output:
        done = subprocess.run(
            command, cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=output,
            stderr=subprocess.STDOUT, start_new_session=True,
        )
        output.seek(0)
        said = output.read()[-2000:].decode(errors="replace")
    shutil.rmtree(folder, ignore_errors=True)
    return name, done.returncode, said


def run(names):
    known = {name for name in names if not name.startswith("-")}
    programs = [path for path in sorted(BUILT.iterdir()) if path.is_file() and path.suffix != ".so"]
    programs = [path for path in programs if f"-{path.name}" not in names]

    # Most of them sleep.
    results = at_once(8 * os.cpu_count(), lambda it: run_one(it, PATIENCE["beside others"]), programs)
    for index, (name, status, said) in enumerate(results):
        # What others took the processor from is looked at alone.
        if status and name not in known:
            print(f"{name} beside others: {status}\n{said}", file=sys.stderr)
            results[index] = run_one(BUILT / name, PATIENCE["alone"])
    for name, status, said in results:
        if status:
            print("failed", name)
        if bool(status) != (name in known):
            print(f"{name}: {status}\n{said}", file=sys.stderr)
    print("passed", sum(status == 0 for _, status, _ in results), "of", len(results))


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["build", archive]:
            build(archive)
        case ["run", *names]:
            run(names)
        case _:
            sys.exit(__doc__)
