"""The table of attacks in the documentation is the one that the tests make."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_documented_attacks_are_those_of_the_tests():
    done = subprocess.run([sys.executable, ROOT / "tools" / "attacks.py", "--check"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
