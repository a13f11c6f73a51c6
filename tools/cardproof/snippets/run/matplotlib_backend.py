"""Plots: a matplotlib backend that draws into memory and hands over what is shown or saved.

A page's process names it in ``MPLBACKEND``; matplotlib looks for ``FigureCanvas``, ``FigureManager`` and ``show``.
"""

from __future__ import annotations

import importlib
import io
from pathlib import Path
from typing import Any

from cardproof.snippets.run.hooks import pictures

_agg: Any = importlib.import_module("matplotlib.backends.backend_agg")
_bases: Any = importlib.import_module("matplotlib.backend_bases")
_pylab: Any = importlib.import_module("matplotlib._pylab_helpers")


def show(*_: object, **__: object) -> None:
    """Hand over all open figures and close them, as a reader does with their windows."""
    for manager in _pylab.Gcf.get_all_fig_managers():
        manager.show()
    _pylab.Gcf.destroy_all()


def _show_one(manager: Any) -> None:
    pictures.keep(f"figure-{manager.num}", _png(manager.canvas, {}))


def _print_figure(canvas: Any, target: Any, *args: Any, **options: Any) -> Any:
    """Save as asked, and hand over a PNG of what was saved under a file name."""
    result = _agg.FigureCanvasAgg.print_figure(canvas, target, *args, **options)
    if isinstance(target, str | Path):
        same: dict[str, Any] = {key: options[key] for key in ("dpi", "bbox_inches", "facecolor") if key in options}
        pictures.keep(Path(target).name, _png(canvas, same))
    return result


def _png(canvas: Any, options: dict[str, Any]) -> bytes:
    memory = io.BytesIO()
    _agg.FigureCanvasAgg.print_figure(canvas, memory, format="png", metadata={"Software": None}, **options)
    return memory.getvalue()


FigureManager: Any = type("FigureManager", (_bases.FigureManagerBase,), {"show": _show_one})
FigureCanvas: Any = type(
    "FigureCanvas", (_agg.FigureCanvasAgg,), {"print_figure": _print_figure, "manager_class": FigureManager}
)
