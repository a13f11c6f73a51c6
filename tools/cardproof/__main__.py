"""``python -m cardproof``, and the console script: Ctrl-C is an answer from the first import on."""

import sys


def main() -> None:
    """Run the command line. An interrupt during its imports ends it as any other."""
    try:
        from cardproof.commands.cli import main as run

        run()
    except KeyboardInterrupt:
        sys.stderr.write("interrupted; no file is half-written\n")
        sys.exit(130)


if __name__ == "__main__":
    main()
