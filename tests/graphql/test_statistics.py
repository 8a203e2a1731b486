"""Statistics: the same on both databases, and as a plain count in Python has them."""
