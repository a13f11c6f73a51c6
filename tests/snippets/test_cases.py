"""Snippets of the shared cases and of published cards, without the network: each block has a verdict and its reason."""

from __future__ import annotations

import json
import re
import shutil
import sys
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from msgspec.structs import replace

from cardproof.build import render
from cardproof.core.errors import InputError
from cardproof.core.settings import Settings, SnippetSettings
from cardproof.render.page_sources import run_pages
from cardproof.report.terminal import pages_json_of
from cardproof.snippets.run.page_runner import Runner
from cardproof.snippets.run_pages import Policy
from cardproof.snippets.types import Limits

if TYPE_CHECKING:
    from collections.abc import Callable

    from cardproof.snippets.run_pages import Weights

LIMITS = Limits(block_seconds=5, page_seconds=20, memory_bytes=2 * 2**30)
P, F, S, N = "pass", "fail", "skip", "not-run"

RESULTS = {
    "02": [P], "03": [P], "05": [F], "06": [P], "08": [P], "09": [P], "11": [], "12": [P], "14": [],
    "15": [P, P, P], "17": [P], "18": [P], "20": [P], "21": [S, P], "23": [P, P], "24": [], "26": [],
    "27": [F], "29": [P], "30": [P], "32": [F], "33": [P], "35": [F], "38": [P], "39": [S], "41": [P, P, P],
    "42": [P], "44": [F, N], "45": [F], "47": [F], "48": [P, P], "50": [P], "51": [P], "53": [N], "54": [P],
    "56": [P], "57": [P], "59": [F], "60": [P], "62": [P], "63": [P], "65": [P, P], "66": [P], "68": [P],
    "69": [P], "71": [P], "72": [P], "74": [P, P], "75": [F, F], "77": [P, F], "78": [P, F], "80": [P],
    "81": [P], "83": [F], "84": [P, P], "86": [P], "87": [P, S], "89": [P], "90": [P], "92": [F], "93": [F],
    "95": [P], "96": [P], "98": [P], "99": [P],
}  # fmt: skip
"""Status of each block. Case 53 is "not-run", as is all that needs the network, or weights that are missing.
Case 36 is a template: tests/snippets/test_find_blocks.py and the render have it."""

SAID = {
    "05": ["page.md:4: ", 'expected "torch.Size([2, 3])", got "torch.Size([3, 2])"'],
    "14": ["page.md:1: ", "looks like a code fence but the page does not render it as one"],
    "24": ["page.md:1: ", "fence header 'python notest' is not understood", "{ .python .skip }"],
    "26": ["page.md:1: ", "fence is never closed"],
    "27": ["page.md:3: ", "SyntaxError"],
    "32": ["page.md:10: ", "ZeroDivisionError"],
    "35": ["demo.py:2: ", "ZeroDivisionError"],
    "44": ["process ended inside this block, status 0, before reporting"],
    "45": ["killed by SIGSEGV"],
    "47": ["timeout"],
    "53": ["needs weights: timm/resnet18"],
    "50": ["1 non-daemon thread still alive"],
    "51": ["left 1 process running"],
    "59": ["line 3 '...' is read as a continuation prompt; write <...> or [...]"],
    "75": ["no exception, expected ValueError", "ZeroDivisionError, expected ValueError"],
    "77": ["page.md:12: ", "ZeroDivisionError"],
    "78": ["page.md:6: ", "SyntaxError"],
    "83": ["allocate"],
    "92": ["SyntaxError at line 2: IPython syntax in a python block"],
    "93": ["page.md:5: ", 'expected "old", got "new"'],
}  # fmt: skip
"""What the report of a case says."""


@pytest.fixture(scope="module")
def runner(hubs):
    """Give all cases the limits of this module; as in a build, those that use torch share one fork server."""
    hubs.state("cpu")
    with Runner(LIMITS) as own:
        own._servers.update(hubs._servers)
        yield own
        for key in hubs._servers:
            own._servers.pop(key)


@pytest.fixture
def case(shared, tmp_path, monkeypatch):
    def _case(number: str):
        (folder,) = (shared / "cases" / "snippets").glob(f"{number}-*")
        copy = tmp_path / folder.name
        shutil.copytree(folder, copy)
        monkeypatch.chdir(copy)
        monkeypatch.setenv("HF_TOKEN", "hf_secret")
        return copy

    return _case


def report(folder, runner, monkeypatch, name="page.md", **options):
    monkeypatch.setattr("cardproof.render.page_sources.Runner", lambda *_: nullcontext(runner))
    rewrite = options.pop("rewrite", False)
    run = run_pages([folder / name], replace(Policy(limits=LIMITS), **options), rewrite=rewrite)
    return json.loads(pages_json_of(run))


def lines_of(folder) -> list[int] | None:
    match = re.search(r"^lines: ([\d,]+)$", (folder / "EXPECT.txt").read_text(), re.MULTILINE)
    return [int(number) for number in match[1].split(",")] if match else None


def page_blocks(folder) -> int:
    return int(re.search(r"^blocks: (\d+)", (folder / "EXPECT.txt").read_text(), re.MULTILINE)[1])


def said(data) -> str:
    findings = [f"{f['file']}:{f['line']}: {f['message']} {f['hint'] or ''}" for f in data["findings"]]
    return "\n".join(findings + [f"{block['message']} {block['warnings']}" for block in data["blocks"]])


@pytest.mark.parametrize("number", RESULTS)
def test_a_case_comes_out_as_it_expects(case, runner, monkeypatch, number):
    folder = case(number)
    data = report(folder, runner, monkeypatch)
    assert [block["status"] for block in data["blocks"]] == RESULTS[number], said(data)
    assert len(data["blocks"]) == page_blocks(folder)
    if lines_of(folder):
        assert [block["line"] for block in data["blocks"]] == lines_of(folder)
    missing = [words for words in SAID.get(number, ()) if words not in said(data)]
    assert not missing, said(data)
    fails = F in RESULTS[number] or number in ("24", "26")
    assert data["summary"]["exit"] == int(fails)


def test_all_cases_are_here(shared):
    numbers = {folder.name[:2] for folder in (shared / "cases" / "snippets").iterdir() if folder.is_dir()}
    assert numbers == set(RESULTS) | {"36"}


def test_38_the_other_page_starts_with_nothing_of_the_first(case, runner, monkeypatch):
    folder = case("38")
    assert report(folder, runner, monkeypatch)["blocks"][0]["status"] == P
    assert report(folder, runner, monkeypatch, "other.md")["blocks"][0]["status"] == P


def test_53_random_weights_run_where_the_policy_allows_it_and_the_record_says_so(case, runner, monkeypatch):
    pytest.importorskip("timm")
    data = report(case("53"), runner, monkeypatch, weights="random")
    assert [(block["status"], block["random_weights"]) for block in data["blocks"]] == [(P, True)]


def test_77_the_traceback_shows_the_pages_own_lines(case, runner, monkeypatch):
    data = report(case("77"), runner, monkeypatch)
    (finding,) = [finding for finding in data["findings"] if finding["severity"] == "error"]
    assert "return v / by" in finding["hint"]
    assert "page.md" in finding["hint"]


def test_81_a_page_run_afterwards_has_torchs_own_defaults(case, runner, monkeypatch):
    folder = case("81")
    report(folder, runner, monkeypatch)
    assert [block["status"] for block in report(folder, runner, monkeypatch, "other.md")["blocks"]] == [P]


def test_87_a_block_that_finds_no_gpu_fails_where_devices_are_strict(case, runner, monkeypatch):
    data = report(case("87"), runner, monkeypatch, strict_device=True)
    assert [block["status"] for block in data["blocks"]] == [P, F]


def test_90_neither_secrets_nor_paths_of_this_machine_are_in_the_record(case, runner, monkeypatch):
    folder = case("90")
    record = json.dumps(report(folder, runner, monkeypatch))
    assert "hf_secret" not in record
    assert str(folder.parent) not in record
    assert sys.prefix not in record
    assert sys.base_prefix not in record


def test_93_update_rewrites_one_line_and_a_second_update_changes_nothing(case, runner, monkeypatch):
    folder = case("93")
    page = folder / "page.md"
    before = page.read_text().split("\n")
    data = report(folder, runner, monkeypatch, rewrite=True)
    after = page.read_text().split("\n")
    assert [i + 1 for i, (old, new) in enumerate(zip(before, after, strict=True)) if old != new] == [5]
    assert after[4] == "    # prints: new"
    assert (data["summary"]["exit"], data["summary"]["updated"]) == (0, 1)
    assert report(folder, runner, monkeypatch, rewrite=True)["summary"]["updated"] == 0


def test_96_two_runs_print_the_same_bytes(case, runner, monkeypatch):
    folder = case("96")
    first, second = (report(folder, runner, monkeypatch)["blocks"][0]["output"] for _ in range(2))
    assert first == second


@pytest.fixture
def page(tmp_path, monkeypatch, runner):
    """Return a function that runs a page written on the spot."""
    monkeypatch.chdir(tmp_path)

    def _page(text: str, **options):
        (tmp_path / "page.md").write_text(text)
        return report(tmp_path, runner, monkeypatch, **options)

    return _page


def test_without_a_gpu_no_block_passes_on_it(page, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    text = "```python\nprint(1)\n```\n\n```python { .gpu }\nprint(2)\n```\n"
    data = page(text, devices=("cpu", "cuda"))
    assert [(b["device"], b["status"]) for b in data["blocks"]] == [("cpu", P), ("cpu", N), ("cuda", N), ("cuda", N)]
    strict = page(text, devices=("cuda",), strict_device=True)
    assert ([b["status"] for b in strict["blocks"]], strict["summary"]["exit"]) == ([F, F], 1)


@pytest.mark.parametrize(
    "stated",
    [
        "print(1)  # prints: 2\n```\n",
        "print(1)  # Prints: 2\n```\n",
        "print(1)  # noqa  # prints: 2\n```\n",
        "print(1)\n# prints : 2\n```\n",
        "print(1)\n#> 2\n```\n",
        "print(1)\n```\n\nOutput:\n\n```\n2\n```\n",
        "print(1)\n```\n\nOutput:\n\n```text\n2\n```\n",
    ],
)
def test_a_stated_output_that_differs_fails_in_every_form(page, stated):
    data = page("```python\n" + stated)
    assert [block["status"] for block in data["blocks"]] == [F]


@pytest.mark.parametrize("comment", ["# Output: 2", "# => 2", "# should print: 2", "# returns: 2"])
def test_a_comment_that_only_looks_like_a_stated_output_is_a_warning(page, comment):
    data = page(f"```python\nprint(1)  {comment}\n```\n")
    assert [block["status"] for block in data["blocks"]] == [P]
    assert [(f["line"], f["severity"]) for f in data["findings"]] == [(2, "warning")]


def test_a_long_message_is_cut_and_steers_no_terminal(page):
    data = page('```python\nraise ValueError("x" * 10**6 + "\\u202e")\n```\n')
    assert len(json.dumps(data)) < 20_000


def test_a_folder_is_no_page(tmp_path, runner, monkeypatch):
    with pytest.raises(InputError, match="a folder"):
        report(tmp_path, runner, monkeypatch, ".")


def test_an_expectation_after_an_expected_exception_is_a_warning(page):
    data = page('```python { .expect-error }\nprint(1)\nint("x")\nprint(2)  # prints: 3\n```\n')
    assert [block["status"] for block in data["blocks"]] == [P]
    assert "line 4: not compared, the block raised before it" in said(data)


def test_a_typing_error_does_not_pass_as_the_expected_exception(page):
    data = page("```python { .expect-error }\nimprot torch\n```\n")
    assert [block["status"] for block in data["blocks"]] == [F]


def test_a_syntax_error_that_is_named_is_expected(page):
    data = page("<!-- snippet: expect-error=SyntaxError -->\n```python\nimprot torch\n```\n")
    assert [block["status"] for block in data["blocks"]] == [P]


def test_one_bad_console_ends_no_page(page):
    data = page("```python\n>>>x = 1\n```\n\n```python\n>>> 1  # doctest: +FOO\n1\n```\n\n```python\nprint(2)\n```\n")
    assert [block["status"] for block in data["blocks"]] == [F, P, P]
    assert [(f["line"], f["severity"]) for f in data["findings"]] == [(2, "error"), (6, "warning")]


def test_a_wrong_value_in_a_comment_is_a_warning(page):
    data = page("```python\nx = (3, 4)\nx  # (9, 9)\nprint(x)  # (3, 4)\n```\n")
    assert [block["status"] for block in data["blocks"]] == [P]
    assert 'line 3: the comment says "(9, 9)", it is "(3, 4)"' in said(data)
    assert data["summary"]["exit"] == 0


# the snippets that published cards share, without the network: each block has a verdict and its reason


PUBLISHED = Path(__file__).with_name("published")
CARDS = ("res2next", "gloun-xception")
"""The last one's name is of a network that timm no longer has."""

NEEDS_NETWORK = ("not-run", "needs the network: ")
UNDEFINED = ("fail", "NameError: name 'NUM_FINETUNE_CLASSES' is not defined")
UNKNOWN = [
    ("fail", "RuntimeError: Unknown model (gluon_xception65)"),
    ("not-run", "needs 'model' of the block at line 6, which failed"),
    ("not-run", "needs 'model' of the block at line 6, which failed"),
    ("not-run", "needs 'urllib' of the block at line"),
    UNDEFINED,
]
EXPECTED: dict[Weights, list[tuple[str, str]]] = {
    "strict": [
        ("not-run", "needs weights: timm/"),
        ("not-run", "needs 'model' of the block at line 6, which was not run"),
        ("not-run", "needs 'model' of the block at line 6, which was not run"),
        ("not-run", "needs 'urllib' of the block at line"),
        UNDEFINED,
    ],
    "random": [
        ("pass", ""),
        NEEDS_NETWORK,
        ("not-run", "needs 'batch' of the block at line"),
        ("not-run", "needs 'probabilities' of the block at line"),
        UNDEFINED,
    ],
}


@pytest.mark.slow
@pytest.mark.parametrize("weights", ["strict", "random"])
@pytest.mark.parametrize("form", ["fences", "prompts"])
def test_each_block_of_a_published_card_has_a_verdict_with_its_reason(
    shared: Path,
    write: Callable[[str, str], Path],
    hubs: Runner,
    monkeypatch: pytest.MonkeyPatch,
    form: str,
    weights: Weights,
) -> None:
    monkeypatch.setattr("cardproof.snippets.run.page_runner.Runner", lambda *_: nullcontext(hubs))
    settings = Settings(
        base=write("mkdocs.yml", "site_name: Published\n").parent,
        templates=shared / "corpora" / "timm-model-templates",
        includes=PUBLISHED / form,
        snippets=SnippetSettings(weights=weights),
    )
    found = {Path(card.file).stem: list(card.full().blocks) for card in render(settings, only=CARDS).cards}
    assert set(found) == set(CARDS)
    assert_verdicts(found["res2next"], EXPECTED[weights])
    assert_verdicts(found["gloun-xception"], UNKNOWN)
    assert all("placeholders: {NUM_FINETUNE_CLASSES" in (blocks[4]["hint"] or "") for blocks in found.values())


def assert_verdicts(blocks: list[dict[str, str]], expected: list[tuple[str, str]]) -> None:
    """Assert status and reason of each block."""
    assert [block["status"] for block in blocks] == [status for status, _ in expected]
    assert [reason for block, (_, reason) in zip(blocks, expected, strict=True) if reason not in block["message"]] == []
