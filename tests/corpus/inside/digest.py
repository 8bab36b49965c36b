"""A digest of any Python value that says nothing of where in memory it lies.

A value is walked as pickle would walk it, and each part is told by type and content. A part met
again is told by its number. Dictionaries and lists keep their order, which programs see; sets are
sorted, since theirs follows addresses. What has no content that can be told (a lock, a generator,
an open file, a handle of a C library) counts by its type alone and is listed as opaque.
"""

import collections
import enum
import functools
import hashlib
import struct
import sys
import types

# Some scripts keep whole data sets in lists.
MOST_PARTS = 4_000_000

# Figures are compared as pictures; their parts hold weak references and caches.
DRAWN = ("matplotlib.", "mpl_toolkits.")

BY_NAME = (
    type,
    types.BuiltinFunctionType,
    types.MethodDescriptorType,
    types.WrapperDescriptorType,
    types.ModuleType,
)


class TooBig(Exception):
    """A value has more parts than anyone would wait for."""


class Walk:
    """One value's digest, and the types in it that could not be looked into."""

    def __init__(self):
        self.sum = hashlib.blake2b(digest_size=16)
        self.seen = {}
        self.kept = []
        self.opaque = collections.Counter()

    def tell(self, kind, data=b""):
        self.sum.update(f"{kind}:{len(data)}:".encode())
        self.sum.update(data)

    def hide(self, value):
        name = type_name(type(value))
        self.opaque[name] += 1
        self.tell("opaque", name.encode())

    def value(self, value):
        if leaf := leaf_of(value):
            self.tell(*leaf)
            return
        number = self.seen.get(id(value))
        if number is not None:
            self.tell("again", str(number).encode())
            return
        if len(self.seen) >= MOST_PARTS:
            raise TooBig
        self.seen[id(value)] = len(self.seen)
        # Else what was made on the way would be freed, and another part get its address.
        self.kept.append(value)
        self.tell("is", type_name(type(value)).encode())
        self.inside(value)

    def inside(self, value):
        kind = type(value)
        if isinstance(value, enum.Enum):
            self.tell("member", value.name.encode())
        elif kind in (list, tuple, collections.deque):
            self.all(value)
        elif kind in (dict, collections.OrderedDict, collections.defaultdict):
            self.all(part for item in value.items() for part in item)
        elif kind in (set, frozenset):
            self.unordered(value)
        elif isinstance(value, types.FunctionType):
            self.function(value)
        elif isinstance(value, types.MethodType):
            self.tell("method", value.__func__.__qualname__.encode())
            self.value(value.__self__)
        elif isinstance(value, functools.partial):
            self.all([value.func, value.args, value.keywords])
        elif isinstance(value, types.CodeType):
            self.code(value)
        elif f"{kind.__module__}.".startswith(DRAWN):
            self.tell("drawn")
        elif not self.framework(value):
            self.instance(value)

    def all(self, values):
        for value in values:
            self.value(value)
        self.tell("end")

    def unordered(self, values):
        parts = []
        for value in values:
            part = Walk()
            part.value(value)
            self.opaque += part.opaque
            parts.append(part.sum.digest())
        self.tell("set", b"".join(sorted(parts)))

    def function(self, value):
        self.tell("function", f"{value.__module__}.{value.__qualname__}".encode())
        if value.__module__ == "__main__":
            self.code(value.__code__)
        self.all([value.__defaults__, value.__kwdefaults__])
        for cell in value.__closure__ or ():
            try:
                self.value(cell.cell_contents)
            except ValueError:
                self.tell("empty cell")

    def code(self, value):
        self.tell("code", value.co_code)
        self.all([value.co_names, value.co_varnames, value.co_consts])

    def framework(self, value):
        """Tells an array of a known library; says whether it was one."""
        numpy, torch, jax = (sys.modules.get(name) for name in ("numpy", "torch", "jax"))
        if numpy and isinstance(value, (numpy.ndarray, numpy.generic)):
            self.array(numpy, value)
        elif numpy and isinstance(value, numpy.dtype):
            self.tell("dtype", repr(value).encode())
        elif torch and isinstance(value, torch.Tensor):
            dense = value.detach().cpu().to_dense() if value.layout != torch.strided else value.detach().cpu()
            self.tell("tensor", f"{value.dtype} {tuple(value.shape)} {value.requires_grad}".encode())
            self.tell("data", dense.resolve_conj().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
            self.value(value.grad if value.is_leaf else None)
        elif torch and isinstance(value, torch.Generator):
            self.value(value.get_state())
        elif jax and isinstance(value, jax.Array):
            if jax.dtypes.issubdtype(value.dtype, jax.dtypes.prng_key):
                value = jax.random.key_data(value)
            self.array(numpy, numpy.asarray(value))
        else:
            return False
        return True

    def array(self, numpy, value):
        masked = isinstance(value, numpy.ma.MaskedArray)
        plain = numpy.asarray(value)
        self.tell("array", f"{plain.dtype} {plain.shape}".encode())
        if plain.dtype.hasobject and plain.dtype.names is None:
            self.all(plain.ravel().tolist())
        elif plain.dtype.names is not None:
            # Not as it lies in memory: between fields is what was there before.
            for name in plain.dtype.names:
                self.array(numpy, plain[name])
        else:
            self.tell("data", without_padding(numpy, plain))
        if masked:
            self.array(numpy, numpy.ma.getmaskarray(value))

    def instance(self, value):
        kind = type(value)
        if kind.__module__ in ("ctypes", "_ctypes", "weakref", "_weakref", "_thread", "_io"):
            self.hide(value)
            return
        try:
            reduced = value.__reduce_ex__(4)
        except Exception:
            self.attributes(value)
            return
        self.kept.append(reduced)
        if isinstance(reduced, str):
            self.tell("global", reduced.encode())
            return
        function, arguments, state, items, pairs = (tuple(reduced) + (None,) * 3)[:5]
        self.all([function, arguments, state])
        self.all([] if items is None else list(items))
        self.all([] if pairs is None else [part for pair in pairs for part in pair])

    def attributes(self, value):
        found = dict(getattr(value, "__dict__", {}))
        for base in type(value).__mro__:
            slots = base.__dict__.get("__slots__", ())
            for slot in [slots] if isinstance(slots, str) else slots:
                if slot not in ("__dict__", "__weakref__") and hasattr(value, slot):
                    found[slot] = getattr(value, slot)
        if found:
            self.value(found)
        else:
            self.hide(value)


def leaf_of(value):
    kind = type(value)
    if value is None or value is Ellipsis or value is NotImplemented:
        return "constant", repr(value).encode()
    if kind is bool or kind is int:
        return kind.__name__, hex(value).encode()
    if kind is float:
        return "float", struct.pack("<d", value)
    if kind is complex:
        return "complex", struct.pack("<dd", value.real, value.imag)
    if kind is str:
        return "str", value.encode("utf-8", "surrogatepass")
    if kind in (bytes, bytearray):
        return kind.__name__, bytes(value)
    if isinstance(value, type):
        return "name", type_name(value).encode()
    if isinstance(value, BY_NAME):
        return "name", getattr(value, "__qualname__", value.__name__).encode()
    return None


def type_name(kind):
    return f"{kind.__module__}.{kind.__qualname__}"


def without_padding(numpy, plain):
    """The bytes of numbers. An x87 number has 10 of them in 16."""
    data = numpy.ascontiguousarray(plain)
    if plain.dtype in (numpy.longdouble, numpy.clongdouble):
        return data.reshape(-1).view(numpy.uint8).reshape(-1, 16)[:, :10].tobytes()
    return data.tobytes()


def digest(value):
    """Returns the digest of a value and the types in it that count by their names alone."""
    walk = Walk()
    try:
        walk.value(value)
    except TooBig:
        return "too big", {}
    except Exception as error:
        return f"not hashed: {type(error).__name__}", {type_name(type(value)): 1}
    return walk.sum.hexdigest(), dict(walk.opaque)
