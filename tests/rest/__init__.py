"""REST v2 as clients see it, on both databases."""
