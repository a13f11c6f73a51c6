"""Judge: claims and evidence to verdicts and findings. Imports no torch."""
