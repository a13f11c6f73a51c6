"""Fuzz one target for long: ``python tests/fuzz/run.py TARGET [SECONDS] [--random]``.

Inputs are guided by coverage, which needs atheris; ``--random`` draws them from the seeds, many times as fast. An input
that raises is written into ``tests/fuzz/crashers.json``, of which the tests run each input.
"""

from __future__ import annotations

import json
import os
import random
import sys
import time
import traceback
from pathlib import Path

from filelock import FileLock

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parents[1]), str(HERE.parents[1] / "tools")]
RANDOM = "--random" in sys.argv

if RANDOM:
    import targets
else:
    import atheris

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
        """Run one input of atheris."""
        self.text(data[: targets.MOST].decode("utf-8", "surrogateescape" if self.name == "record" else "replace"))

    def text(self, text: str) -> None:
        """Run one text, and keep it if it raises or hangs; ends the process when the time is over."""
        began = time.monotonic()
        if began > self.end or len(self.crashes) >= MOST_CRASHES:
            self.report()
            os._exit(bool(self.crashes))  # without libFuzzer's own report
        self.runs += 1
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
        with FileLock(targets.folder().with_name("cardproof-crashers.lock")):  # others may fuzz other targets
            kept = targets.crashers()
            kept.setdefault(self.name, []).append(text)
            targets.CRASHERS.write_text(json.dumps(kept, indent=2) + "\n", encoding="ascii")
        print(f"{self.name}: {place}: {raised}\n{''.join(traceback.format_tb(raised.__traceback__)[-3:])}", flush=True)

    def report(self) -> None:
        """Print what was run."""
        took = time.monotonic() - self.started
        print(f"{self.name}: {self.runs:,} runs in {took:,.0f} s, {len(self.crashes)} different crashes", flush=True)


def main() -> None:
    """Fuzz the target that the command line names."""
    name, *given = [argument for argument in sys.argv[1:] if argument != "--random"]
    fuzzer = Fuzzer(name, float(given[0]) if given else 600.0)
    if RANDOM:
        draw = random.Random(time.time_ns())
        while True:
            fuzzer.text(targets.mutant(draw, targets.TARGETS[name].seeds))
    corpus = targets.folder() / "corpus"
    corpus.mkdir()
    for number, seed in enumerate(targets.TARGETS[name].seeds):
        (corpus / str(number)).write_bytes(seed.encode("utf-8", "surrogateescape"))
    atheris.Setup([sys.argv[0], str(corpus), f"-max_len={targets.MOST}", "-verbosity=0", "-timeout=120"], fuzzer.one)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
