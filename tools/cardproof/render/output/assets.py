"""Style sheets and scripts of pages: shipped in the package, written into the site, never fetched by a reader."""

from __future__ import annotations

from pathlib import Path

from cardproof.render.output.stamp import stamped_asset

SOURCES = Path(__file__).parent.parent / "assets"
STYLES = ("cardproof.css", "compare.css")
SCRIPTS = ("cardproof.js", "compare.js", "evidence.js")
"""Every page names these; each does something on pages of its own only."""
OTHERS = ("not-found.js",)
"""For a page ``404.html`` of the theme, which names it itself."""


def asset_texts(folder: Path) -> dict[Path, str]:
    """Return what the assets in a folder of the site shall say, by their paths."""
    return {
        folder / name: stamped_asset((SOURCES / name).read_text(encoding="utf-8"), f"cardproof/render/assets/{name}")
        for name in (*STYLES, *SCRIPTS, *OTHERS)
    }
