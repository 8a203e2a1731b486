"""Changes: the change log of the catalogue, read, watched and trimmed; `gateway/db/` writes it."""
