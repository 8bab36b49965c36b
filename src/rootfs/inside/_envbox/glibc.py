"""Asks the C library which instructions its own code may use; libm chooses by them.

It tells since 2.33, after what it made of `GLIBC_TUNABLES` (`sys/platform/x86.h`). Asked at every
start of Python, so without `ctypes`, whose import takes longer than everything else here.
"""

import _ctypes
import os

#: Registers of CPUID, and the place of its leaves 1, 7 and 0x80000001 in the library's table.
EBX, ECX, EDX = 1, 2, 3
BASIC, EXTENDED, MAKERS = 0, 1, 2
#: What `GLIBC_TUNABLES` calls an instruction set (`cpu-features.c`): its bit, and the lowest baseline
#: that has it. FMA4 is in none.
FEATURES = {
    "SSE2": (BASIC, EDX, 26, 0),
    "FMA": (BASIC, ECX, 12, 1),
    "AVX": (BASIC, ECX, 28, 1),
    "AVX2": (EXTENDED, EBX, 5, 1),
    "AVX512F": (EXTENDED, EBX, 16, 2),
    "AVX512DQ": (EXTENDED, EBX, 17, 2),
    "AVX512CD": (EXTENDED, EBX, 28, 2),
    "AVX512BW": (EXTENDED, EBX, 30, 2),
    "AVX512VL": (EXTENDED, EBX, 31, 2),
    "FMA4": (MAKERS, ECX, 16, 3),
}
LEVELS = {name: level for name, (_, _, _, level) in FEATURES.items()}


class _Word(_ctypes._SimpleCData):
    _type_ = "I"


class _Address(_ctypes._SimpleCData):
    _type_ = "P"


class _Leaf(_ctypes.Array):
    """What the processor says of itself, and what of it may be used: four registers each."""

    _type_ = _Word
    _length_ = 8


class _Ask(_ctypes.CFuncPtr):
    _flags_ = _ctypes.FUNCFLAG_CDECL
    _restype_ = _Address


def active():
    """Returns the names of the instruction sets in use. Raises if the library cannot be asked."""
    loaded = _ctypes.dlopen(None, os.RTLD_NOW)
    ask = _Ask(_ctypes.dlsym(loaded, "__x86_get_cpuid_feature_leaf"))
    leaves = [_Leaf.from_address(ask(leaf))[4:] for leaf in (BASIC, EXTENDED, MAKERS)]
    return [name for name, (leaf, register, bit, _) in FEATURES.items() if leaves[leaf][register] >> bit & 1]
