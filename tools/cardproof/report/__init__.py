"""Report: a finished run in the terminal, in formats of other tools, and in exports."""
