"""What the decorators of a step ask for, merged into one value.

In: the attributes of `@envbox` and of `@envbox_base`. Out: `Wanted`, checked. The meaning of
`packages`, `libraries`, `python` and `disabled` is that of Metaflow's `@conda` and `@pypi`.
"""

from __future__ import annotations

import difflib
import os
from typing import Any, Dict, List, Mapping, NamedTuple, Optional, Tuple

from .errors import EnvboxArgument

CLOCKS = ("logical", "frozen", "ticking", "real")

DEFAULTS: Dict[str, Any] = {
    "packages": {},
    "libraries": {},
    "conda_packages": {},
    "debian_packages": [],
    "python": None,
    "manifest": None,
    "env": {},
    "network": None,
    "seed": None,
    "cpus": None,
    "clock": None,
    "writable": None,
    "strict": None,
    "disabled": None,
}


class Wanted(NamedTuple):
    """What a step wants. `python` is empty where the launcher's own version is meant."""

    packages: Tuple[Tuple[str, str], ...]
    conda_packages: Tuple[Tuple[str, str], ...]
    debian_packages: Tuple[str, ...]
    python: str
    manifest: Optional[str]
    env: Tuple[Tuple[str, Optional[str]], ...]
    network: bool
    seed: int
    cpus: Optional[int]
    clock: Optional[str]
    writable: bool
    strict: bool
    disabled: bool


def wanted(
    step: str, attributes: Mapping[str, Any], base: Mapping[str, Any]
) -> Wanted:
    """Merges: packages of the step win over those of the flow, and so does all else it says."""

    def says(name: str) -> Any:
        value = attributes.get(name)
        return base.get(name) if value is None else value

    env = {**_variables(step, base.get("env")), **_variables(step, attributes["env"])}
    value = Wanted(
        packages=_packages(step, {**_all(base), **_all(attributes)}),
        conda_packages=_packages(
            step, {**(base.get("conda_packages") or {}), **attributes["conda_packages"]}
        ),
        debian_packages=tuple(
            sorted({*(base.get("debian_packages") or []), *attributes["debian_packages"]})
        ),
        python=str(says("python") or ""),
        manifest=says("manifest"),
        env=tuple(sorted(env.items())),
        network=_truth(says("network")),
        seed=_number(step, "seed", says("seed"), 0) or 0,
        cpus=_number(step, "cpus", says("cpus"), 1),
        clock=says("clock"),
        writable=_truth(says("writable")),
        strict=_truth(says("strict")),
        disabled=_truth(says("disabled")),
    )
    _check(step, value)
    return value


def _all(attributes: Mapping[str, Any]) -> Dict[str, str]:
    return {**(attributes.get("libraries") or {}), **(attributes.get("packages") or {})}


def _packages(step: str, packages: Mapping[str, Any]) -> Tuple[Tuple[str, str], ...]:
    for name, version in packages.items():
        if not isinstance(version, (str, int, float)):
            raise EnvboxArgument(
                step, "the version of `%s` is `%r`; it must be text." % (name, version)
            )
    return tuple(sorted((str(name), str(version)) for name, version in packages.items()))


def _variables(step: str, env: Any) -> Dict[str, Optional[str]]:
    """Reads `{"NAME": "value"}`, and `["NAME"]` for what the launcher's own environment has."""
    if not env:
        return {}
    if isinstance(env, Mapping):
        return {str(name): str(value) for name, value in env.items()}
    if isinstance(env, (list, tuple)):
        return {str(name): None for name in env}
    raise EnvboxArgument(step, "`env` is `%r`; it is a dictionary or a list of names." % (env,))


def _truth(value: Any) -> bool:
    return str(value).lower() == "true"


def _number(step: str, name: str, value: Any, least: int) -> Optional[int]:
    if value is None:
        return None
    try:
        number = int(value)
    except (TypeError, ValueError):
        number = least - 1
    if not least <= number < 2**32:
        raise EnvboxArgument(
            step, "`%s` is `%s`; it is a whole number, %d or more." % (name, value, least)
        )
    return number


def _check(step: str, value: Wanted) -> None:
    if value.clock is not None and value.clock not in CLOCKS:
        near: List[str] = difflib.get_close_matches(str(value.clock), CLOCKS, 1)
        hint = " Did you mean `%s`?" % near[0] if near else ""
        raise EnvboxArgument(
            step,
            "there is no clock `%s`; there are %s.%s" % (value.clock, ", ".join(CLOCKS), hint),
        )
    if value.manifest is None:
        return
    if value.packages or value.conda_packages or value.debian_packages or value.python:
        raise EnvboxArgument(
            step,
            "`manifest` says what the environment has; `packages`, `conda_packages`, "
            "`debian_packages` and `python` belong in `%s`." % value.manifest,
        )
    if not os.path.isfile(value.manifest):
        raise EnvboxArgument(
            step,
            "there is no manifest `%s`, seen from `%s`. `envbox init` writes one."
            % (value.manifest, os.getcwd()),
        )
