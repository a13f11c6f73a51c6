"""Fuzz one target for long, guided by coverage: ``python tests/fuzz/run.py TARGET [SECONDS]`` (needs atheris).

Each input that raises is written into ``tests/fuzz/crashers/TARGET/``, where the tests run it from then on.
"""

from __future__ import annotations

import hashlib
import sys
import time
import traceback
from pathlib import Path

import atheris

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parents[1]), str(HERE.parents[1] / "tools")]

with atheris.instrument_imports(include=["cardproof", "targets"]):
    import targets

MOST_CRASHES = 20
"""Different crashes after which a run ends."""


class Fuzzer:
    """Runs a target on what atheris makes, and keeps one input for each different crash."""

    def __init__(self, name: str, seconds: float) -> None:
        self.name = name
        self.run = targets.TARGETS[name].run
        self.started = time.monotonic()
        self.end = self.started + seconds
        self.runs = 0
        self.crashes: set[str] = set()

    def one(self, data: bytes) -> None:
        """Run one input; ends the process when the time is over."""
        if time.monotonic() > self.end or len(self.crashes) >= MOST_CRASHES:
            self.report()
            atheris_exit(bool(self.crashes))
        self.runs += 1
        text = data[: targets.MOST].decode("utf-8", "surrogateescape" if self.name == "record" else "replace")
        began = time.monotonic()
        try:
            self.run(text)
            if (took := time.monotonic() - began) > targets.SLOW:
                raise TimeoutError(f"took {took:.1f} seconds")
        except Exception as raised:
            self.keep(text, raised)

    def keep(self, text: str, raised: Exception) -> None:
        """Write an input that raised, unless one that raised at the same place is there."""
        frames = traceback.extract_tb(raised.__traceback__)
        place = f"{type(raised).__name__} at {frames[-1].filename.rpartition('/')[2]}:{frames[-1].lineno}"
        if place in self.crashes:
            return
        self.crashes.add(place)
        folder = HERE / "crashers" / self.name
        folder.mkdir(parents=True, exist_ok=True)
        data = text.encode("utf-8", "surrogateescape")
        (folder / hashlib.sha256(data).hexdigest()[:12]).write_bytes(data)
        print(f"{self.name}: {place}: {raised}\n{''.join(traceback.format_tb(raised.__traceback__)[-3:])}", flush=True)

    def report(self) -> None:
        """Print what was run."""
        took = time.monotonic() - self.started
        print(f"{self.name}: {self.runs:,} runs in {took:,.0f} s, {len(self.crashes)} different crashes", flush=True)


def atheris_exit(failed: bool) -> None:
    """End the process without libFuzzer's own report."""
    import os

    sys.stdout.flush()
    os._exit(1 if failed else 0)


def main() -> None:
    """Fuzz the target that the command line names."""
    name, seconds = sys.argv[1], float(sys.argv[2]) if len(sys.argv) > 2 else 600.0
    fuzzer = Fuzzer(name, seconds)
    corpus = targets.folder() / "corpus"
    corpus.mkdir()
    for number, seed in enumerate(targets.TARGETS[name].seeds):
        (corpus / str(number)).write_bytes(seed.encode("utf-8", "surrogateescape"))
    atheris.Setup([sys.argv[0], str(corpus), f"-max_len={targets.MOST}", "-verbosity=0", "-timeout=120"], fuzzer.one)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
