"""First import of the workers' server process: disables the garbage collector until torch and the zoo are loaded.

The imports make a million objects that all stay; collecting meanwhile takes a sixth of the time.
"""

from __future__ import annotations

import gc


def start_collector() -> None:
    """Enable the collector in a worker, except for the objects that it inherited."""
    gc.freeze()
    gc.enable()


gc.disable()
