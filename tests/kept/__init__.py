"""Answers that are kept in memory: on both surfaces, and over the whole schema."""
