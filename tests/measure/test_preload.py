"""The server process of the workers imports with the collector still, and its workers collect what is theirs."""

from __future__ import annotations

import subprocess
import sys

from convnets import ROOT

CODE = """
import gc
import cardproof.measure.preload as preload
assert not gc.isenabled()
born_with = len(gc.get_objects())
preload.start_collector()
assert gc.isenabled()
assert gc.get_freeze_count() >= born_with
assert len(gc.get_objects()) < born_with
import sys
assert "torch" not in sys.modules
"""


def test_collecting_waits_for_the_imports_and_leaves_them_alone_afterwards() -> None:
    subprocess.run([sys.executable, "-c", CODE], check=True, env={"PYTHONPATH": str(ROOT / "tools")})
