"""The catalogue: its tables and vocabularies, and the projections of documents to columns."""
