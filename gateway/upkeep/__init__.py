"""Upkeep: what each process does beside its requests, from time to time."""
