"""Under pytest: one item for each block of a page, which runs once and is reported where a person edits it."""

from __future__ import annotations

import os
import re
import select
import signal
import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path
from xml.etree import ElementTree

import pytest
from sites import CARD, write_site

from cardproof.plugins import pytest_plugin
from cardproof.render.output.text import add_stamp
from cardproof.render.page_sources import Sources, run_pages
from cardproof.snippets.run.processes import descendants

pytest_plugins = ["pytester"]
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="processes are looked up in /proc")

CONFIG = "site_name: Pages\nplugins:\n- cardproof:\n    snippets: {preload: []}\n"
"""Of a site whose pages import nothing that takes long."""

PAGE = """# Page

```python
x = 1
print(x)
# prints: 1
```

```python { .skip data-reason="takes a day" }
1 / 0
```

```python title="Add them"
print(x + 1)
# prints: 3
```

```python
def half(value):
    return value / zero

y = half(x)
```

```python { .gpu }
print("never")
```
"""


@pytest.fixture
def site(pytester: pytest.Pytester) -> Path:
    """Return the folder of a site with one page, ``docs/page.md``."""
    (pytester.path / "docs").mkdir()
    (pytester.path / "mkdocs.yml").write_text(CONFIG)
    (pytester.path / "docs" / "page.md").write_text(PAGE)
    return pytester.path


@pytest.fixture(scope="module", autouse=True)
def _all_imported(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Import what a page needs: runs of pytest within this process forget what they were the first to import."""
    page = tmp_path_factory.mktemp("imports") / "page.md"
    page.write_text(PAGE)
    page.with_name("mkdocs.yml").write_text(CONFIG)
    run_pages([page], Sources(page.parent).read(page).policy)


UNUSED = ("-pno:cacheprovider", "-pno:hypothesispytest", "-pno:anyio")


def run(pytester: pytest.Pytester, *arguments: str) -> pytest.RunResult:
    return pytester.runpytest_inprocess(*UNUSED, *arguments)


def counting(folder: Path) -> tuple[str, Path]:
    """Return a page that writes a line to a file each time it runs, and that file."""
    log = folder / "runs.txt"
    return f"```python\nopen({str(log)!r}, 'a').write('ran\\n')\n```\n\n```python\nz = 1\n```\n", log


# what is documented, and what is collected


def test_every_option_is_in_the_guide() -> None:
    guide = (Path(__file__).parents[2] / "docs" / "guide" / "pytest.md").read_text()
    source = Path(pytest_plugin.__file__).read_text()
    options = set(re.findall(r'"(--[a-z-]+)"', source))
    assert {"--cardproof", "--device"} < options
    assert all(f"| `{option}" in guide for option in options)


def test_the_plugin_is_installed_with_cardproof() -> None:
    (found,) = [entry for entry in entry_points(group="pytest11") if entry.name == "cardproof"]
    assert found.value == "cardproof.plugins.pytest_plugin"


def test_runs_of_others_collect_no_markdown_and_import_nothing_heavy(pytester: pytest.Pytester, site: Path) -> None:
    heavy = {"torch", "markdown", "mkdocs", "jinja2", "yaml", "msgspec", "cardproof.core"}
    test = f"import sys\ndef test_it():\n    assert not {heavy} & set(sys.modules)\n"
    (site / "docs" / "test_it.py").write_text(test)
    pytester.runpytest_subprocess(*UNUSED, "docs").assert_outcomes(passed=1)


def test_collecting_shows_a_named_item_for_each_block_and_runs_nothing(pytester: pytest.Pytester, site: Path) -> None:
    text, log = counting(site)
    (site / "docs" / "page.md").write_text(PAGE + text)
    done = run(pytester, "--cardproof", "--collect-only", "-q")
    assert [line for line in done.outlines if "::" in line] == [
        "docs/page.md::Page-1",
        "docs/page.md::Page-2",
        "docs/page.md::Add them",
        "docs/page.md::Page-3",
        "docs/page.md::Page-4",
        "docs/page.md::Page-5",
        "docs/page.md::Page-6",
    ]
    assert not log.exists()


def test_a_page_that_is_named_needs_no_option(pytester: pytest.Pytester, site: Path) -> None:
    run(pytester, "docs/page.md", "-k", "Add").assert_outcomes(failed=1, deselected=4)
    run(pytester, "docs/page.md::Page-1").assert_outcomes(passed=1)


def test_a_page_that_is_named_for_doctest_is_left_to_it(pytester: pytest.Pytester, site: Path) -> None:
    (site / "docs" / "page.md").write_text("```python\n1 / 0\n```\n\n>>> 1 + 1\n2\n")
    run(pytester, "--doctest-glob=*.md", "docs/page.md").assert_outcomes(passed=1)
    run(pytester, "--doctest-glob=*.md", "docs/page.md", "--cardproof").assert_outcomes(passed=1, failed=1)


def test_the_configuration_may_ask_for_all_pages(pytester: pytest.Pytester, site: Path) -> None:
    (site / "pytest.ini").write_text("[pytest]\ncardproof = true\n")
    run(pytester).assert_outcomes(passed=1, failed=2, skipped=2)


def test_two_blocks_with_one_title_are_two_items(pytester: pytest.Pytester, site: Path) -> None:
    block = '```python title="Load"\nx = 1\n```\n\n'
    (site / "docs" / "page.md").write_text(block * 2)
    run(pytester, "--cardproof", "-v").stdout.fnmatch_lines(["*page.md::Load PASSED*", "*::Load-2 PASSED*"])


def test_a_fence_that_is_not_closed_fails_as_a_finding(pytester: pytest.Pytester, site: Path) -> None:
    (site / "docs" / "page.md").write_text("```python\nx = 1\n```\n\n```python\ny = 2\n")
    done = run(pytester, "--cardproof")
    done.assert_outcomes(passed=1, failed=1)
    done.stdout.fnmatch_lines(["E   *", "docs/page.md:5: *", "FAILED docs/page.md::finding-1 - *"])


def test_settings_that_mean_nothing_are_an_error_with_their_place(pytester: pytest.Pytester, site: Path) -> None:
    (site / "mkdocs.yml").write_text(CONFIG.replace("preload: []", "preload: [], speed: 3"))
    done = run(pytester, "--cardproof")
    done.assert_outcomes(errors=1)
    done.stdout.fnmatch_lines(["*mkdocs.yml:4:*snippets has no setting 'speed'*"])


# what is reported


def test_blocks_are_reported_with_the_readers_code_and_the_reasons_of_skips(
    pytester: pytest.Pytester, site: Path
) -> None:
    done = run(pytester, "--cardproof", "-rs")
    done.assert_outcomes(passed=1, failed=2, skipped=2)
    done.stdout.fnmatch_lines(
        [
            "*_ Add them _*",
            "    print(x + 1)",
            ">   # prints: 3",
            'E   expected "3", got "2"',
            "docs/page.md:15: *expected*",
            "*_ Page-3 _*",
            "    def half(value):",
            "        return value / zero",
            ">   y = half(x)",
            "E   Traceback*",
            "E   NameError: name 'zero' is not defined",
            "docs/page.md:22: NameError*",
            "SKIPPED [[]1[]] docs/page.md:10: takes a day",
            "SKIPPED [[]1[]] docs/page.md:26: not run: it needs a GPU",
        ],
        consecutive=False,
    )
    assert "pytest_plugin.py" not in done.stdout.str()


def test_other_plugins_get_the_message_of_a_failure() -> None:
    assert str(pytest_plugin._BlockError("page.md", 3, "NameError: x", ["x"])) == "NameError: x"


def test_a_stated_output_is_shown_with_the_line_that_differs(pytester: pytest.Pytester, site: Path) -> None:
    text = "```python\nprint('a\\nb')\n```\n\nOutput:\n\n```text\na\nc\n```\n"
    (site / "docs" / "page.md").write_text(text)
    run(pytester, "--cardproof").stdout.fnmatch_lines([">   c", 'E   expected "c", got "b"', "docs/page.md:9: *"])


def test_warnings_of_a_block_are_warnings_of_pytest(pytester: pytest.Pytester, site: Path) -> None:
    (site / "docs" / "page.md").write_text("```python\nprint(2)\n# prints something like: two of them\n```\n")
    done = run(pytester, "--cardproof")
    done.assert_outcomes(passed=1, warnings=1)
    done.stdout.fnmatch_lines(["*docs/page.md:2: CardproofWarning: line 3: expected something like*"])


def test_junit_has_the_place_of_each_block(pytester: pytest.Pytester, site: Path) -> None:
    run(pytester, "--cardproof", "--junitxml=out.xml", "-o", "junit_family=xunit1", "-n", "1")
    cases = list(ElementTree.parse(site / "out.xml").iter("testcase"))
    assert [(case.get("file"), int(case.get("line", "0")) + 1) for case in cases] == [
        ("docs/page.md", line) for line in (4, 10, 14, 19, 26)
    ]
    assert {entry.get("name"): entry.get("value") for entry in cases[2].iter("property")} == {
        "file": "docs/page.md",
        "line": "14",
        "device": "cpu",
    }
    assert [failure.get("message") for failure in cases[2].iter("failure")] == ['expected "3", got "2"']


def test_names_of_blocks_stay_what_they_are_if_a_section_is_added_above(pytester: pytest.Pytester, site: Path) -> None:
    old = "# Use it\n\n```python\n# Not a heading\nx = 1\n```\n\n## Train *it* ##\n\n```python\n1 / 0\n```\n"
    page = site / "docs" / "page.md"
    page.write_text(old)
    assert names(pytester) == ["Use it-1", "Train it-1"]
    pytester.runpytest_inprocess(*UNUSED[1:], "--cardproof").assert_outcomes(passed=1, failed=1)
    page.write_text("# Install\n\n```python\ny = 2\n```\n\n" + old)
    assert names(pytester) == ["Install-1", "Use it-1", "Train it-1"]
    done = pytester.runpytest_inprocess(*UNUSED[1:], "--cardproof", "--lf", "-v")
    done.assert_outcomes(failed=1)
    done.stdout.fnmatch_lines(["*::Train it-1 FAILED*"])


def names(pytester: pytest.Pytester) -> list[str]:
    """Return the names of a page's items."""
    done = run(pytester, "--cardproof", "--collect-only", "-q", "docs/page.md")
    return [line.partition("::")[2] for line in done.outlines if "::" in line]


def test_no_two_blocks_have_one_name(pytester: pytest.Pytester, site: Path) -> None:
    text = '# A\n\n```python\nx = 1\n```\n\n```python title="A-2"\nx = 1\n```\n\n```python\nx = 1\n```\n\n# A-2\n\n'
    (site / "docs" / "page.md").write_text(text + '```python title="A"\nx = 1\n```\n')
    found = names(pytester)
    assert len(set(found)) == 4
    assert found[:2] == ["A-1", "A-2"]


@pytest.mark.parametrize("ending", ["markdown", "mdx"])
def test_other_endings_of_markdown_are_collected(pytester: pytest.Pytester, site: Path, ending: str) -> None:
    (site / "docs" / "page.md").rename(site / "docs" / f"page.{ending}")
    run(pytester, f"docs/page.{ending}", "-k", "Page-1").assert_outcomes(passed=1, deselected=4)
    run(pytester, "--cardproof", "-k", "Page-1").assert_outcomes(passed=1, deselected=4)


def test_blocks_have_a_marker(pytester: pytest.Pytester, site: Path) -> None:
    (site / "test_it.py").write_text("def test_it():\n    pass\n")
    run(pytester, "--cardproof", "--strict-markers", "-m", "not cardproof").assert_outcomes(passed=1, deselected=5)
    done = run(pytester, "--cardproof", "-m", "cardproof", "--collect-only", "-q")
    assert "test_it" not in done.stdout.str()
    run(pytester, "--markers").stdout.fnmatch_lines(["@pytest.mark.cardproof: *"])


def test_a_warning_of_a_page_ends_no_collection_where_warnings_are_errors(
    pytester: pytest.Pytester, site: Path
) -> None:
    (site / "pytest.ini").write_text("[pytest]\nfilterwarnings = error\n")
    (site / "docs" / "page.md").write_text("```{ .python .my-style }\nx = 1\n```\n")
    done = run(pytester, "--cardproof")
    done.assert_outcomes(passed=1, warnings=1)
    done.stdout.fnmatch_lines(["*CardproofWarning: class '.my-style' *"])


def test_pythonpath_applies_to_pages(pytester: pytest.Pytester, site: Path) -> None:
    (site / "pytest.ini").write_text("[pytest]\npythonpath = src\n")
    (site / "src").mkdir()
    (site / "src" / "my_package_of_pages.py").write_text("answer = 42\n")
    code = "import my_package_of_pages\nprint(my_package_of_pages.answer)\n# prints: 42\n"
    (site / "docs" / "page.md").write_text(f"```python\n{code}```\n")
    run(pytester, "--cardproof").assert_outcomes(passed=1)
    assert not list(site.rglob("__pycache__"))


def test_a_block_that_takes_too_long_fails_by_the_option_or_the_configuration(
    pytester: pytest.Pytester, site: Path
) -> None:
    (site / "docs" / "page.md").write_text("```python\nimport time\ntime.sleep(100)\n```\n")
    done = run(pytester, "--cardproof", "--cardproof-timeout", "0.3")
    done.assert_outcomes(failed=1)
    done.stdout.fnmatch_lines(["*0.3 s*"])
    (site / "pytest.ini").write_text("[pytest]\ncardproof_timeout = 0.3\n")
    run(pytester, "--cardproof").assert_outcomes(failed=1)
    assert "is not a number of seconds above 0" in run(pytester, "--cardproof-timeout", "-1").stderr.str()


# how pages run


def test_the_whole_page_runs_once_whatever_is_selected(pytester: pytest.Pytester, site: Path) -> None:
    text, log = counting(site)
    (site / "docs" / "page.md").write_text(text + "\n```python\nprint(z)\n# prints: 1\n```\n")
    run(pytester, "--cardproof", "-k", "block-2 or block-3").assert_outcomes(passed=2, deselected=1)
    assert log.read_text() == "ran\n"


def test_workers_that_share_out_files_run_each_page_once(pytester: pytest.Pytester, site: Path) -> None:
    text, log = counting(site)
    for name in ("page", "other", "third"):
        (site / "docs" / f"{name}.md").write_text(text)
    run(pytester, "--cardproof", "-n", "2", "--dist", "loadfile").assert_outcomes(passed=6)
    assert log.read_text() == "ran\n" * 3


def test_a_page_imports_modules_beside_it_and_has_the_values_of_placeholders(
    pytester: pytest.Pytester, site: Path
) -> None:
    (site / "mkdocs.yml").write_text(CONFIG.replace("preload: []", "preload: [], placeholders: {CLASSES: 7}"))
    (site / "docs" / "helper.py").write_text("answer = 42\n")
    (site / "docs" / "page.md").write_text(
        "```python\nimport helper\nprint(helper.answer, CLASSES)\n# prints: 42 7\n```\n"
    )
    run(pytester, "--cardproof").assert_outcomes(passed=1)


def test_a_page_runs_on_each_device_and_not_on_one_that_is_absent(
    pytester: pytest.Pytester, site: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    done = run(pytester, "--cardproof", "--cardproof-device", "cpu,cuda", "-v", "-rs", "-k", "Page-1")
    done.assert_outcomes(passed=1, skipped=1, deselected=8)
    done.stdout.fnmatch_lines(["*Page-1[[]cpu[]] PASSED*", "*Page-1[[]cuda[]] SKIPPED*", "*not run: no GPU is visible"])


def test_the_short_option_for_devices_is_there_where_nobody_else_has_it(pytester: pytest.Pytester, site: Path) -> None:
    run(pytester, "--cardproof", "--device", "cpu", "-k", "Add").assert_outcomes(failed=1, deselected=4)
    assert "'tpu' is none; devices are cpu and cuda" in run(pytester, "--device=tpu").stderr.str()


def test_a_conftest_may_define_the_short_option_itself(pytester: pytest.Pytester, site: Path) -> None:
    (site / "conftest.py").write_text(
        "def pytest_addoption(parser):\n    parser.addoption('--device', default='tpu')\n"
    )
    (site / "test_it.py").write_text(
        "def test_it(request):\n    assert request.config.getoption('--device') == 'mine'\n"
    )
    run(pytester, "--device", "mine", "test_it.py").assert_outcomes(passed=1)


def test_random_weights_are_used_where_they_are_asked_for(pytester: pytest.Pytester, site: Path) -> None:
    code = "import torch\ntorch.hub.load_state_dict_from_url('https://example.org/weights.pth')\n"
    (site / "docs" / "page.md").write_text(f"```python\n{code}```\n")
    run(pytester, "--cardproof", "--cardproof-random-weights", "--junitxml=out.xml").assert_outcomes(passed=1)
    properties = ElementTree.parse(site / "out.xml").iter("property")
    assert {"name": "weights", "value": "random"} in [entry.attrib for entry in properties]


@pytest.mark.parametrize("workers", [(), ("-n", "1")])
def test_an_interrupt_leaves_no_process(site: Path, workers: tuple[str, ...]) -> None:
    started = site / "started"
    os.mkfifo(started)
    (site / "docs" / "page.md").write_text(
        f"```python\nopen({str(started)!r}, 'w').write('x')\nwhile True: pass\n```\n"
    )
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--cardproof", *workers]
    reader = os.open(started, os.O_RDONLY | os.O_NONBLOCK)
    with subprocess.Popen(command, cwd=site, stdout=subprocess.PIPE, text=True, start_new_session=True) as process:
        assert select.select([reader], [], [], 60)[0]
        below = [os.pidfd_open(pid) for pid in descendants(process.pid)]
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does
        output, _ = process.communicate(timeout=60)
    assert "KeyboardInterrupt" in output
    assert process.returncode == pytest.ExitCode.INTERRUPTED
    assert below
    assert all(select.select([ended], [], [], 60)[0] for ended in below)
    for descriptor in (reader, *below):
        os.close(descriptor)


# pages of cards

SNIPPETS = """## Use it

```python
name = '{{ model_name }}'
print(name)
# prints: small
```
"""


@pytest.fixture
def card(pytester: pytest.Pytester) -> Path:
    """Return the folder of a site with a card whose included snippet fails, and its rendered page."""
    folder = write_site(pytester.path, CARD.replace("# Tiny", "# Tiny\n{# a comment\n   of two lines #}"))
    (folder / "mkdocs.yml").write_text(CONFIG.replace("snippets:", "zoo: zoo.py:Zoo\n    snippets:"))
    (folder / "templates" / "code_snippets.md").write_text(SNIPPETS)
    return folder


def test_a_rendered_page_is_tested_from_its_template(pytester: pytest.Pytester, card: Path) -> None:
    page = card / "docs" / "models" / "tiny.md"
    page.parent.mkdir(parents=True)
    page.write_text(add_stamp("# Tiny\n\nRendered long ago.\n", "templates/models/tiny.md"))
    done = run(pytester, "--cardproof", "-vv")
    done.assert_outcomes(failed=1)
    done.stdout.fnmatch_lines(
        [
            "docs/models/tiny.md::Use it-1 <- templates/code_snippets.md FAILED*",
            "    name = 'tiny'",
            ">   # prints: small",
            'E   expected "small", got "tiny"',
            "templates/code_snippets.md:6: *",
        ]
    )


def test_a_card_template_may_be_named_and_what_it_includes_may_not(pytester: pytest.Pytester, card: Path) -> None:
    done = run(pytester, "templates/models/tiny.md", "templates/code_snippets.md", "--continue-on-collection-errors")
    done.assert_outcomes(failed=1, errors=1)
    done.stdout.fnmatch_lines(["templates/code_snippets.md: templates include it, and it is not a page itself*"])


def test_a_page_whose_template_is_gone_is_an_error(pytester: pytest.Pytester, card: Path) -> None:
    stamp = "<!-- cardproof: rendered from templates/models/old.md; edit that file, not this one. 0123456789abcdef -->"
    (card / "old.md").write_text(f"# Old\n\n{stamp}\n")
    done = run(pytester, "old.md")
    done.assert_outcomes(errors=1)
    done.stdout.fnmatch_lines(["old.md: it was rendered from templates/models/old.md, which is not a template of*"])


def test_a_card_that_cannot_be_read_is_an_error_of_its_page(pytester: pytest.Pytester, card: Path) -> None:
    (card / "page.md").write_text(add_stamp("# Tiny\n", "templates/models/tiny.md"))
    (card / "templates" / "models" / "tiny.md").write_bytes(b"\xff\xfe")
    done = run(pytester, "page.md")
    done.assert_outcomes(errors=1)
    done.stdout.fnmatch_lines(["templates/models/tiny.md:1:1: *"])
