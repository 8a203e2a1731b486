"""The 345 requests that freezer-api 19 was observed with, and what this gateway answers."""
