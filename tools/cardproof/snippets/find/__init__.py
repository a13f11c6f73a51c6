"""Find: the code blocks that a finished page shows, and where each stands in its source."""
