"""The catalogue itself: its tables, its vocabularies, and how documents become columns."""
