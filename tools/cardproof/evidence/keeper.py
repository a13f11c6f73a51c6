"""Keeper: writes evidence into a site's store as soon as it is there."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cardproof.core.locks import replace_files, writing

if TYPE_CHECKING:
    from pathlib import Path

    from cardproof.core.types import Evidence


class EvidenceWriter:
    """Writes evidence into a site's store as soon as it is there, so that a build that is killed loses nothing."""

    def __init__(self, folder: Path) -> None:
        """Keep evidence in this folder."""
        self._folder = folder
        self.before: dict[Path, str | None] = {}
        """What the files said before this build; None for those that were not there."""

    def keep(self, evidence: Evidence) -> None:
        """Write a record; a file that is no record is left alone, and the build will say so."""
        from cardproof.evidence.records import (  # a build that measures nothing needs none of it
            file_name,
            is_record,
            text_of,
        )

        path, text = self._folder / file_name(evidence.model), text_of(evidence, self._folder)
        if text is None:
            return
        with writing(self._folder):
            old = path.read_text(encoding="utf-8", errors="replace") if path.is_file() else None
            if old is not None and not is_record(old):
                return
            self.before.setdefault(path, old)
            if old != text:
                replace_files({path: text})
