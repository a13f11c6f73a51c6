"""Evidence: sealed records of what was measured: their types, schema, reading and writing."""
