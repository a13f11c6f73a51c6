"""Compare: what a snippet printed with what its page says it prints."""
