"""The code that measures, as a few versions and digests: a worker must have the client's."""

from __future__ import annotations

from functools import cache
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

from cardproof import __version__
from cardproof.core.digests import digest_of_package
from cardproof.zoos import BUILT_IN, network_digests

Code = dict[str, str]
"""Names of parts, with a version or digest each."""


@cache
def code_of(zoo: str, folder: str) -> Code:
    """Return the code that this process measures networks of a zoo with.

    It is looked at once: a process goes on with what it has imported, whatever happens to the files. ``folder`` is the
    working directory, which zoos that are files are relative to. Raises ZooError where the zoo is not here.
    """
    found = {
        "cardproof": __version__,
        "cardproof's source": digest_of_package(Path(__file__).parents[2]),
        "res2next's source": _digest_of("res2next"),
        "torch": _version("torch"),
    }
    if zoo in ("timm", "torchvision", "transformers"):
        found[zoo] = _version(zoo)
    elif zoo not in BUILT_IN:
        found[f"the source of {zoo}"] = network_digests(zoo, {""})[""]
    return found


def differences(ours: Code, theirs: Code) -> str:
    """Say in which parts two codes differ; empty for none."""
    named = []
    for name, own in ours.items():
        other = theirs.get(name, "")
        if other != own:
            digests = own.startswith("sha256:") or other.startswith("sha256:")
            named.append(name if digests else f"{name} ({other or 'none'} there, {own or 'none'} here)")
    return ", ".join(named)


def _version(distribution: str) -> str:
    try:
        return version(distribution)
    except ModuleNotFoundError:
        return ""


def _digest_of(package: str) -> str:
    found = find_spec(package)
    return digest_of_package(Path(found.origin).parent) if found and found.origin else ""
