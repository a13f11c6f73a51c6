"""Fixtures of tests that run hostile pages: with and without namespaces, by the limits of their module."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from running import Pages, assert_nothing_left, pages

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("pages")


@pytest.fixture(scope="module", params=[True, False], ids=["namespaces", "no namespaces"])
def _page(folder: Path, request: pytest.FixtureRequest) -> Iterator[Pages]:
    with pages(folder, request.module.LIMITS, namespaces=request.param) as found:
        yield found


@pytest.fixture
def page(_page: Pages, folder: Path) -> Iterator[Pages]:
    yield _page
    assert_nothing_left(_page.runner, folder)
