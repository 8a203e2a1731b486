"""Helpers that several rooms share: applications, databases, data, and clients of all kinds."""
