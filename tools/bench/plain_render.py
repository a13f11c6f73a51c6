"""The peer of a render: a renderer like published tools, which check nothing.

Each template's model index is cut out of its comment and read by PyYAML's own loader, the text is rendered by Jinja2
with its includes, and the page is written as ``NAME/README.md``, with one ``model-index.yml`` beside them all.

Usage: plain_render.py TEMPLATES OUT
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

import yaml
from jinja2 import Environment, FileSystemLoader

INDEX = re.compile(r"<!--\s*\n(Type:\s*model-index.*?)-->", re.DOTALL)


def main() -> None:
    """Render a folder and print how many models its cards have."""
    print(plain_render(Path(sys.argv[1]), Path(sys.argv[2])))


def plain_render(templates: Path, out: Path) -> int:
    """Render the cards in ``models`` below a folder, and return the number of their models."""
    environment = Environment(loader=FileSystemLoader([templates, templates / "models"]))  # nosec B701  # like the peer
    models = 0
    for path in sorted((templates / "models").glob("*.md")):
        text = path.read_text(encoding="utf-8")
        found = INDEX.search(text)
        index = yaml.load(found[1], yaml.SafeLoader) if found else {}
        names = [model["Name"] for model in index.get("Models", ())]
        models += len(names)
        page = out / path.stem / "README.md"
        page.parent.mkdir(parents=True, exist_ok=True)
        page.write_text(environment.from_string(text).render(model_name=names[0] if names else ""), encoding="utf-8")
    imports = "\n".join(f"- {path.stem}/README.md" for path in sorted((templates / "models").glob("*.md")))
    (out / "model-index.yml").write_text(f"Import:\n{imports}\n", encoding="utf-8")
    return models


if __name__ == "__main__":
    main()
