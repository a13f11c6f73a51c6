"""Commands: one file per command of the command line, the options they share, shell completion."""
