"""What is known. Folds of records, each with its table or snapshot. Imports events only."""
