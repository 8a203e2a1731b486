"""The documented examples: what is asked (`*.http`), and the body of the answer (`*.json`)."""
