"""A site of two cards, not yet rendered."""

from __future__ import annotations

from pathlib import Path

import pytest
from sites import OTHER


@pytest.fixture
def site(site: Path) -> Path:
    """Return the folder of the site, which is the working directory."""
    (site / "templates/models/other.md").write_text(OTHER)
    return site
