"""Export: what cards state and what was proved of it, in formats of other tools."""
