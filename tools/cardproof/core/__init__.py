"""Core: types, numbers, field names, settings, errors, source positions, files and the cache; imports no other room."""
