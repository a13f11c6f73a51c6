"""Core: types, numbers, field names, settings, errors, positions, secrets, terminals, files, cache; imports no room."""
