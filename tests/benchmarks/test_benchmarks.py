"""The benchmarks: each does what it says on a small input, and the guide's page is what the figures say."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from sites import write_site
from torch import nn
from warm import run_script, start_build

from bench import corpus, counting, scaling, snippets, workers
from bench.all import FIGURES, PAGE, PARTS, main, page_text, read_figures, write_figures
from bench.figures import CARDPROOF, Part, Ran, cell_text, child, machine, run
from bench.plain_render import plain_render
from cardproof.read import read_cards

if TYPE_CHECKING:
    from collections.abc import Sequence

linux = pytest.mark.skipif(sys.platform != "linux", reason="commands are measured by Linux's own means")


@linux
def test_a_command_is_measured_with_all_that_it_starts(tmp_path: Path) -> None:
    busy = "import subprocess, sys; subprocess.Popen([sys.executable, '-c', 'x = bytearray(range(128)) * (80 << 13)'])"
    ran = run([sys.executable, "-c", busy], tmp_path)
    assert ran.status == 0
    assert ran.seconds > 0 < ran.cpu_seconds
    assert ran.peak_mb > 80 > ran.own_peak_mb


@linux
def test_a_command_that_fails_is_no_figure(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="ended with 3: no such thing"):
        run([sys.executable, "-c", "print('no such thing'); raise SystemExit(3)"], tmp_path)
    assert run([sys.executable, "-c", "raise SystemExit(1)"], tmp_path, (0, 1)).status == 1


def test_the_plain_renderer_reads_the_same_models_and_renders_every_card(shared: Path, tmp_path: Path) -> None:
    folder = shared / "corpora" / "timm-model-templates"
    corpus.write_site(tmp_path, folder, "timm", snippets=True)
    assert plain_render(tmp_path / "templates", tmp_path / "out") == len(read_cards([folder]).models) == 220
    pages = sorted((tmp_path / "out").glob("*/README.md"))
    assert len(pages) == 50
    assert all("timm.create_model" in page.read_text() for page in pages)
    assert len(yaml.safe_load((tmp_path / "out/model-index.yml").read_text())["Import"]) == 50


@pytest.fixture
def warm_commands(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fork renders and scripts of a benchmark from a process that has imported everything; other commands are run."""

    def run_warm(command: list[str], folder: Path, statuses: Sequence[int] = (0,), **environment: str) -> Ran:
        output = ""
        if tuple(command[:5]) == (*CARDPROOF, "render", "--quiet"):
            process = start_build(folder, Path(os.environ["XDG_CACHE_HOME"]), *command[5:])
            process.join()
            status = process.exitcode
        elif command[1].endswith(".py"):
            status, output, _ = run_script(Path(command[1]), *command[2:], **environment)
        else:
            return run(command, folder, statuses, **environment)
        assert status in statuses
        return Ran(status, 1.0, 1.0, 1.0, 1.0, output)

    for module in (corpus, counting, scaling):
        monkeypatch.setattr(module, "run", run_warm)


@pytest.mark.slow
@linux
def test_a_corpus_is_built_warm_cold_and_after_edits(tmp_path: Path, warm_commands: None) -> None:
    write_site(tmp_path)
    part = corpus.measure(tmp_path / "templates/models", 1, f"{tmp_path}/zoo.py:Zoo", snippets=False)
    assert [row["build"] for row in part.rows][:2] == [
        "plain renderer, checks nothing",
        "proved build, nothing changed",
    ]
    assert all(float(row["seconds"]) > 0 for row in part.rows)


@pytest.mark.slow
@linux
def test_counters_are_compared_on_the_same_networks(monkeypatch: pytest.MonkeyPatch, warm_commands: None) -> None:
    few = {name: counting.COUNTERS[name] for name in ("cardproof", "FlopCounterMode")}
    monkeypatch.setattr(counting, "COUNTERS", few)
    part = counting.measure(("res2next/res2net50d",))
    rows = {str(row["counter"]).split()[0]: row for row in part.rows}
    assert set(rows) == set(counting.COUNTERS)
    assert rows["cardproof"]["equal"] == rows["FlopCounterMode"]["equal"] == "1 of 1"


@pytest.mark.parametrize("counter", list(filter(counting.is_installed, counting.COUNTERS)))
def test_each_counter_counts_a_network(counter: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(counting, "SHAPE", (3, 8, 8))
    counted = counting.COUNTERS[counter]()(lambda: nn.Conv2d(3, 4, 1, bias=False))
    assert counted == 8 * 8 * 3 * 4


def test_a_counter_that_is_not_installed_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(counting, "installed", lambda name: None)
    row = counting._row("fvcore", None, {"a": 1}, 1.0)
    assert row == {"counter": "fvcore (not installed)", **dict.fromkeys(counting._COLUMNS)}


@pytest.mark.slow
@linux
def test_generated_sites_hold_what_they_claim(warm_commands: None) -> None:
    part = scaling.measure((2,), 1)
    assert part.rows[0]["cards"] == 2  # a render that refutes a claim ends with 1, which is no figure


@pytest.mark.slow
@linux
def test_workers_are_compared_and_a_cluster_that_cannot_be_is_reported(tmp_path: Path, monkeypatch) -> None:
    write_site(tmp_path)
    monkeypatch.setattr(workers, "_reason_without_dask", lambda: "not run: Dask is not installed")
    part = workers.measure(tmp_path / "templates/models", None, f"{tmp_path}/zoo.py:Zoo")
    assert [row["workers"] for row in part.rows][2] == "Dask, two workers (not run: Dask is not installed)"
    assert part.rows[2]["seconds"] is None


@pytest.mark.slow
@linux
def test_a_page_of_snippets_is_timed_against_an_interpreter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(snippets, "CODES", ("x = 1", "print(x)"))
    part = snippets.measure(pages=2, fresh=1, preload=())
    assert part.rows[0]["what"] == "a page"


@pytest.mark.parametrize("script", [name for name in PARTS.values() if Path(child(name)[1]).is_file()] + ["all.py"])
def test_every_script_has_help(script: str) -> None:
    done = run_script(Path(child(script)[1]), "--help")
    assert done.returncode == 0, done.stderr
    assert "--json" in done.stdout


def test_a_script_runs_without_what_the_tests_put_on_the_path() -> None:
    done = subprocess.run(child("counting.py", "--help"), capture_output=True, text=True, check=True)
    assert "--json" in done.stdout


PART = Part(
    "A title", "What & how.", [{"tool": "ours <b>", "seconds": 0.5}, {"tool": "gone", "seconds": None}], "seconds"
)


def figures() -> dict[str, dict[str, Any]]:
    return {"corpus": {"machine": machine(), "parts": [asdict(PART)]}}


def test_parts_that_a_file_has_are_not_run_again_when_resumed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "figures.json"
    write_figures(file, figures())
    before = file.read_bytes()
    monkeypatch.setattr(sys, "argv", ["all.py", "--only", "corpus", "--resume", "--write", str(file)])
    main()
    assert file.read_bytes() == before


def test_a_page_has_a_table_and_a_drawing_of_each_part() -> None:
    text = page_text(figures())
    assert "## A title" in text
    assert "| gone | – |" in text
    assert '<li style="--v:1.0"><span>ours &lt;b&gt;</span> <b>0.5</b></li>' in text
    assert '<li style="--v:0"><span>gone</span> <b>–</b></li>' in text
    assert "Measured on " in text


def test_figures_are_written_in_the_order_of_the_page_and_read_again(tmp_path: Path) -> None:
    file = tmp_path / "benchmarks.json"
    both = {"snippets": figures()["corpus"], **figures()}
    write_figures(file, both)
    assert list(read_figures(file)) == ["corpus", "snippets"]
    assert read_figures(file) == both


def test_numbers_are_written_with_as_many_digits_as_say_something() -> None:
    assert [cell_text(cell) for cell in (0.123456, 12.345, 123.4, 12345.6, 1234, None, "x")] == [
        "0.123", "12.3", "123", "12,346", "1,234", "–", "x",
    ]  # fmt: skip


def test_the_guide_s_page_is_drawn_from_the_committed_figures() -> None:
    assert PAGE.read_text() == page_text(json.loads(FIGURES.read_text()))


@pytest.mark.slow
def test_the_checks_on_a_gpu_are_rehearsed_on_a_cpu() -> None:
    arguments = ("--device", "cpu", "--model", "res2next50", "--no-snippets", "--json")
    done = run_script(Path(child("gpu.py")[1]), *arguments, OMP_NUM_THREADS="1")
    assert done.returncode == 0, done.stderr
    part = json.loads(done.stdout)["parts"][0]
    assert part["notes"] == ["No GPU was used."]
    rows = {row["check"]: row["holds"] for row in part["rows"]}
    assert [check for check, holds in rows.items() if holds == "no"] == []
    assert rows["Digits, float32"] == rows["Digits, bfloat16"] == rows["Digits, float16"] == "yes"
    assert rows["logits of res2next50, float32"] == rows["training, 1 epochs of Digits"] == "yes"
