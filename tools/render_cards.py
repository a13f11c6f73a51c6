"""Render the model cards of the site: the same as ``cardproof render``."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from cardproof.__main__ import main

if __name__ == "__main__":
    sys.argv.insert(1, "render")
    main()
