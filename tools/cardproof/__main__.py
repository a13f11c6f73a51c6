"""``python -m cardproof``."""

from cardproof.cli import main

if __name__ == "__main__":
    main()
