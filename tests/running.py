"""Running snippets in tests: blocks from code, runners, and a check that a page leaves nothing behind."""

from __future__ import annotations

import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cardproof.snippets.run.page_runner import Job, Runner
from cardproof.snippets.run.processes import descendants
from cardproof.snippets.run_pages import Page, Policy, page_blocks, run_blocks
from cardproof.snippets.types import Block, BlockRun, Limits, Options, Printed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cardproof.snippets.types import Outcome


def blocks(*codes: str, file: str = "page.md", **options: Any) -> tuple[Block, ...]:
    """Return blocks that stand one below the other in a page, three lines apart, with the same options."""
    found = []
    line = 2
    for code in codes:
        console = code.lstrip().startswith(">>>")
        found.append(Block(file, line, code, Options(**options), console=console))
        line += code.count("\n") + 4
    return tuple(found)


def fences(*codes: str) -> str:
    """Return a page of these blocks; one that begins with a brace has its options on its first line."""
    heads = (" " if code.startswith("{") else "\n" for code in codes)
    return "\n".join(f"```python{head}{code}\n```\n" for head, code in zip(heads, codes, strict=True))


def judged(runner: Runner, text: str, **policy: Any) -> list[Outcome]:
    """Run the blocks of a page and judge them."""
    page = Page("page.md", text, Path())
    found = page_blocks(page, Policy(**policy))[0]
    return run_blocks(page, found, "cpu", Policy(**policy), runner)[0]


def said(outcomes: list[Outcome]) -> list[tuple[str, str]]:
    """Return status and message of each block."""
    return [(outcome.status, outcome.message) for outcome in outcomes]


class Pages:
    """A runner with a short way to run code."""

    def __init__(self, runner: Runner) -> None:
        self.runner = runner

    def run(self, *codes: str, timeout: float | None = None, **job: Any) -> tuple[BlockRun, ...]:
        """Run a page of these blocks, each of which may have a limit of its own in seconds."""
        return self.runner.run(Job("page", blocks(*codes, timeout=timeout), **job))

    def out(self, *codes: str, **job: Any) -> str:
        """Run a page that has no error; return its standard output and the values that its consoles show."""
        results = self.run(*codes, **job)
        assert [(result.ended, result.error) for result in results] == [(True, None)] * len(codes)
        return "".join(shown(printed) for result in results for printed in result.printed)

    def error(self, code: str, **job: Any) -> str:
        """Run a page of one block that fails; return what is said of it."""
        (result,) = self.run(code, **job)
        assert result.error is not None
        return result.error


def shown(printed: Printed) -> str:
    """Return what a console shows of a statement, without its errors."""
    return (printed.stdout or "") + (f"{printed.value}\n" if printed.value is not None else "")


@contextmanager
def pages(folder: Path, limits: Limits, *, namespaces: bool = True, preload: tuple[str, ...] = ()) -> Iterator[Pages]:
    """Give a runner whose temporary folders lie in ``folder``; afterwards none of its processes is left."""
    before = tempfile.tempdir
    tempfile.tempdir = str(folder)
    try:
        with Runner(limits, preload, namespaces=namespaces) as runner:
            pid = runner.state("cpu").pid
            yield Pages(runner)
        assert not Path(f"/proc/{pid}").exists()
    finally:
        tempfile.tempdir = before


def assert_nothing_left(runner: Runner, folder: Path) -> None:
    """Assert that below the fork server no process lives, and that no temporary folder is left."""
    pid = runner.state("cpu").pid
    deadline = time.monotonic() + 5
    while descendants(pid) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert descendants(pid) == []
    assert list(folder.iterdir()) == []
