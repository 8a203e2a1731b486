"""Answers that are kept in memory, and served again as long as their project's revision holds."""
