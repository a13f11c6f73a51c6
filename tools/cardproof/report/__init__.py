"""Report: what a finished run says: in the terminal, in files for other tools, in exports."""
