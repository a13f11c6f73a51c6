"""A site of two cards, not yet rendered."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from sites import OTHER, write_site

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder of the site, which is the working directory."""
    monkeypatch.chdir(tmp_path)
    folder = write_site(tmp_path)
    (folder / "templates/models/other.md").write_text(OTHER)
    return folder
