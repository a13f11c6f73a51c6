"""Digests of networks; a custom zoo is asked for its digests in a separate process.

The zoo is foreign code and may import torch, so the build never imports it. It is asked at every build, since only the
zoo knows what its digest covers: so only zoos whose source has the word are asked, and one that turns out to have no
such method is not asked again while its source stays as it is.
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Iterable
from contextlib import closing, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cardproof.core.cache import Entry, open_cache
from cardproof.core.digests import digest_of_data
from cardproof.core.errors import error_text
from cardproof.zoos import BUILT_IN, ZooError, load_zoo, source_digest, source_files

if TYPE_CHECKING:
    import subprocess

FAILED = "the zoo's digest failed: "
"""Prefix of the text in place of a digest that the zoo did not give: evidence on such a model is never valid."""

TIME_LIMIT = 120
"""Seconds for importing a zoo and asking it for all digests."""

MOST_BYTES = 50 * 1024**2
"""Largest answer that is read."""

WITHOUT = "zoos without a digest"
"""Kind of the cache's entries."""

_DEFINITION = re.compile(rb"\bdef[ \t]+digest\b|\bdigest[ \t]*(?::[^=\n]{0,100})?=")


def network_digests(spec: str, names: Iterable[str]) -> dict[str, str]:
    """Return the digest of each model's network; a custom zoo is not imported for it into this process.

    If a zoo has a method ``digest`` of its own, another process asks it; where that fails, the digest begins with
    :data:`FAILED` and states why. Raises ZooError if its sources are not found.
    """
    if spec in BUILT_IN:
        zoo = load_zoo(spec)
        return {name: zoo.digest(name) for name in names}
    source, names = source_digest(spec), list(names)
    if not names or not must_ask_zoo(spec):
        return dict.fromkeys(names, source)
    own = _ask_in_process(spec, names)
    if not own and (cache := open_cache()):
        with closing(cache):
            cache.put((WITHOUT, [Entry(spec, _inputs(source), True)]))
    digests = {name: text if text.startswith(FAILED) else digest_of_data([source, text]) for name, text in own.items()}
    return dict.fromkeys(names, source) | digests


def must_ask_zoo(spec: str) -> bool:
    """Return whether each build asks a custom zoo, so that nothing can be known to be unchanged without it.

    It is asked if its source defines something called ``digest``, until it answers that it has no such method.
    Raises ZooError.
    """
    if not any(map(_defines_digest, source_files(spec))):
        return False
    cache = open_cache()
    if cache is None:
        return True
    with closing(cache):
        known = cache.entry(WITHOUT, spec)
    return known is None or known.inputs != _inputs(source_digest(spec))


def _defines_digest(path: Path) -> bool:
    try:
        return _DEFINITION.search(path.read_bytes()) is not None
    except OSError:
        return False


def _inputs(source: str) -> dict[str, str]:
    return {"source": source, "folder": str(Path.cwd())}


def _ask_in_process(spec: str, names: list[str]) -> dict[str, str]:
    """Ask a zoo in another process, which ends within the limit with all that it started."""
    import subprocess  # most zoos are not asked
    import tempfile

    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    with tempfile.TemporaryFile() as answer, tempfile.TemporaryFile() as question:
        question.write(json.dumps({"zoo": spec, "names": names}).encode())
        question.seek(0)
        process = subprocess.Popen(
            [sys.executable, "-m", "cardproof.zoos.source_digests"],
            stdin=question,
            stdout=answer,
            env=environment,
            start_new_session=True,
        )
        try:
            status = process.wait(TIME_LIMIT)
            trouble = f"the process that asked the zoo ended with status {status}"
        except subprocess.TimeoutExpired:
            trouble = f"the zoo took more than {TIME_LIMIT} seconds"
        finally:
            _kill_group(process)
        answer.seek(0)
        found = _parse_answer(answer.read(MOST_BYTES + 1))
    if found is None:
        return dict.fromkeys(names, FAILED + trouble)
    return {name: str(found.get(name, FAILED + "it gave none")) for name in names} if found else {}


def _kill_group(process: subprocess.Popen[bytes]) -> None:
    """End a process and its group, if they still run."""
    import signal

    if os.name == "posix":
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
    process.kill()
    process.wait()


def _parse_answer(text: bytes) -> dict[str, Any] | None:
    """Return the answer of the other process; None if it did not give one."""
    try:
        found = json.loads(text) if len(text) <= MOST_BYTES else None
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def main() -> None:
    """Answer for a zoo: a JSON object of digests by name; empty if the zoo has no method ``digest``."""
    answer = os.dup(1)
    os.dup2(2, 1)  # what the zoo prints is not the answer
    asked = json.load(sys.stdin)
    found = digests_from_zoo(asked["zoo"], asked["names"])
    with os.fdopen(answer, "wb") as file:
        file.write(json.dumps(found).encode())
        file.flush()
        os._exit(0)  # threads of the zoo do not keep the build waiting


def digests_from_zoo(spec: str, names: Iterable[str]) -> dict[str, str]:
    """Return what a zoo answers in this process; a method that fails is the answer for its name."""
    try:
        zoo: Any = load_zoo(spec)
    except ZooError as trouble:
        return dict.fromkeys(names, f"{FAILED}{trouble}")
    if not zoo.has_digest:
        return {}
    found = {}
    for name in names:
        try:
            found[name] = zoo.digest(name)
            if not found[name]:
                raise ValueError(f"digest('{name}') returned nothing")
        except BaseException as trouble:  # a zoo is foreign code, and may raise anything or exit
            found[name] = FAILED + error_text(trouble)
    return found


if __name__ == "__main__":
    main()
