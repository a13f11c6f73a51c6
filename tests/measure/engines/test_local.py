"""The local engine: a zoo that hangs, dies or misbehaves costs its own model, and never the build."""

from __future__ import annotations

import time
from concurrent.futures import Future
from threading import Event
from unittest.mock import Mock

import pytest
from report_runs import claim_rows
from sites import ONE_JOB, OTHER, build, write_site

from cardproof.build import audit
from cardproof.core.settings import Settings
from cardproof.measure.engines import local
from cardproof.measure.engines.local import LocalEngine, imports_library
from cardproof.measure.list_models import list_models
from cardproof.zoos import ZooError

NATIVE = "import ctypes; ctypes.PyDLL(None).pause()"
"""Sleeps in native code with the interpreter's lock: no handler of a signal runs in Python."""

BUSY = "\n".join(
    ["while True:", *(f"{' ' * 16}{line}" for line in ("try:", "    while True: pass", "except BaseException: pass"))]
)


@pytest.fixture
def site(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder = write_site(tmp_path)
    (folder / "templates/models/other.md").write_text(OTHER)
    return folder


@pytest.fixture
def short_limit(monkeypatch):
    monkeypatch.setattr(local, "TIME_LIMIT", 2)
    monkeypatch.setattr(local, "GRACE", 1)


def edit_zoo(site, old: str, new: str) -> None:
    text = (site / "zoo.py").read_text()
    assert old in text
    (site / "zoo.py").write_text(text.replace(old, new))


def outcome(run) -> dict[str, set[tuple[str, str]]]:
    """Return verdicts and reasons by model."""
    found: dict[str, set[tuple[str, str]]] = {}
    for row in claim_rows(run):
        found.setdefault(row["model"], set()).add((row["verdict"], row["reason"]))
    return found


@pytest.mark.attack(
    "zoo", "a network never returns from native code", "ended; its claims are unchecked, others measured"
)
@pytest.mark.parametrize("hang", [NATIVE, BUSY], ids=["native", "swallows"])
def test_a_network_that_never_returns_is_ended_and_the_others_are_measured(site, short_limit, hang):
    edit_zoo(site, "        width = 16", f"        if name == 'tiny':\n            {hang}\n        width = 16")
    found = outcome(build(site))
    assert found["tiny_16"] == {("confirmed", "")}
    ((verdict, reason),) = found["tiny"]
    assert verdict == "unchecked"
    assert "TimeoutError: measuring it took more than 2 seconds" in reason
    assert not (site / "docs/evidence/tiny.json").exists()


@pytest.mark.attack("zoo", "its import never returns", "ended; the build says so, and ends")
def test_a_zoo_whose_import_never_returns_is_ended(site, short_limit):
    edit_zoo(site, "from torch import nn", f"from torch import nn\n{NATIVE}")
    with pytest.raises(ZooError, match=r"zoo 'zoo.py:Zoo' cannot be imported: that took more than 2 seconds"):
        build(site)


@pytest.mark.parametrize(
    ("ending", "reason"),
    [
        ("import os; os._exit(3)", "the worker process died"),
        ("import sys; sys.exit('enough')", "SystemExit: enough"),
        ("raise KeyboardInterrupt", "KeyboardInterrupt"),
        ("raise type('Odd', (Exception,), {'__str__': lambda self: 1 / 0})", "Odd: (its text cannot be read)"),
        ("raise ValueError('\\ud800' + 'x' * 10**6)", "ValueError: \\ud800xxx"),
        ("import os; os.close(1); os.close(2); print('gone')", "OSError"),
    ],
)
def test_a_network_that_ends_its_process_costs_its_own_model(site, ending, reason):
    edit_zoo(site, "        width = 16", f"        if name == 'tiny':\n            {ending}\n        width = 16")
    found = outcome(build(site))
    assert found["tiny_16"] == {("confirmed", "")}
    ((verdict, text),) = found["tiny"]
    assert verdict == "unchecked"
    assert reason in text
    assert len(text) < 3000


METHODS = {
    "raises": "raise RuntimeError('no')",
    "exits": "raise SystemExit(0)",
    "wrong type": "return object()",
    "own text": "return type('Text', (str,), {})('a')",
    "not a number": "return {'image_size': 32, 'crop_pct': float('nan'), 'mean': (float('nan'),) * 3}",
    "huge": "return {'image_size': 32, 'crop_pct': 1e308 * 10, 'learning_rate': 10 ** 5000}",
    "no text": "return {'image_size': 32, 'interpolation': chr(0xd800), 'name': chr(0xd800)}",
    "no size": "return {'image_size': ()}",
    "negative": "return {'image_size': (-1, 0, 10 ** 30)}",
}


@pytest.mark.parametrize("body", METHODS.values(), ids=METHODS)
@pytest.mark.parametrize("method", ["preprocessing", "recipe", "known_as", "weights", "models"])
def test_a_method_that_misbehaves_is_a_reason_and_never_a_traceback(site, method, body):
    """Of a zoo without a preprocessing of its own, where that is not the method."""
    edit_zoo(
        site,
        "    def preprocessing(self, name):",
        f"    def {method}(self, *names):\n        {body}\n\n    def _(self, name):",
    )
    run = audit([site / "templates/models/tiny.md"], Settings(zoo="zoo.py:Zoo"), ONE_JOB)
    assert {row["verdict"] for row in claim_rows(run)} <= {"confirmed", "unchecked"}
    assert all(row["reason"] for row in claim_rows(run) if row["verdict"] == "unchecked")


@pytest.mark.parametrize("value", ["1e-30", "0.123456789012345678901234567890", "5e-324", "10 ** 30"])
def test_any_number_that_a_zoo_prepares_images_with_is_compared(site, value):
    edit_zoo(site, "0.875", value)
    card = (site / "templates/models/tiny.md").read_text()
    stated = card.replace("    Image Size", "    Crop Pct: '0.9'\n    Mean: [0.5, 0.5, 0.5]\n    Image Size")
    (site / "templates/models/tiny.md").write_text(stated)
    verdicts = {row["field"]: row["verdict"] for row in claim_rows(build(site)) if row["model"] == "tiny"}
    assert verdicts["Crop Pct"] == "refuted"
    assert verdicts["FLOPs"] == "confirmed"


def test_a_list_of_models_that_exits_is_an_error_of_the_zoo(site):
    edit_zoo(
        site, "    def preprocessing", "    def models(self):\n        raise SystemExit(0)\n\n    def preprocessing"
    )
    with pytest.raises(ZooError, match="does not list its models: SystemExit: 0"):
        list_models("zoo.py:Zoo", ())


def test_calls_of_one_engine_are_answered_and_its_processes_end_with_it():
    with LocalEngine(2).open("res2next", 4) as submit:
        assert [future.result() for future in [submit(divmod, number, 3) for number in range(4)]] == [
            (0, 0),
            (0, 1),
            (0, 2),
            (1, 0),
        ]
        with pytest.raises(ZooError, match="ZeroDivisionError"):
            submit(divmod, 1, 0).result()


def test_a_model_is_ended_after_its_own_limit_and_not_after_that_of_the_import_as_well(short_limit):
    loaded = Event()
    loaded.set()
    started = time.monotonic()
    with pytest.raises(TimeoutError, match="measuring it took more than 2 seconds"):
        local._Workers(None, "zoo.py:build", 1)._wait(Future(), loaded)
    assert time.monotonic() - started < 5  # of a limit of two seconds, and one of grace


def test_a_worker_without_files_for_its_queues_is_one_that_died(monkeypatch):
    monkeypatch.setattr(local, "ProcessPoolExecutor", Mock(side_effect=OSError(24, "Too many open files")))
    with LocalEngine(1).open("res2next", 1) as submit, pytest.raises(LocalEngine.worker_died):
        submit(divmod, 7, 3).result()


def test_libraries_that_a_zoo_imports_are_inherited_by_its_workers(tmp_path):
    (tmp_path / "zoo.py").write_text("def build(name):\n    import timm.layers\n# from torchvision import x\n")
    assert imports_library(f"{tmp_path}/zoo.py:build", "timm")
    assert not imports_library(f"{tmp_path}/zoo.py:build", "torchvision")
