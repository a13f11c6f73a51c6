"""Core: types, numbers, field names, settings, errors, source positions, secrets, terminals, files and the cache; imports no other room."""
