"""The service layer: one module per entity, called by both surfaces.

A module knows one entity: `COLLECTION` is what may be read of it, `create`, `update` and `delete`
write it. Each authorizes first, reads rows with only the columns it is asked for, and writes in one
transaction.
"""
