"""Plan: what each claim needs, what of it is on record, and what has to be measured. Imports no torch."""
