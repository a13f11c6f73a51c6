"""``python -m res2next``: classify, evaluate and train from a terminal."""

from res2next.commands import main

if __name__ == "__main__":
    main()
