"""Export: models with the verdicts on their claims, in formats of other tools."""
