"""The tests: a room for each subject, and `support` with the helpers."""
