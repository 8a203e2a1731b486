"""Moving in: freezer-api's catalogue read from its database, and written into the gateway's.

`sources` opens the database, `layouts` knows freezer-api's tables at each revision, `documents` and
`translation` make the gateway's rows of its rows, `writing` puts them into the catalogue, and
`importing` does all of it in order, and tells of it by `counts` and `reports`. `following` goes on
with what `changes` finds, of projects that `mirrors` keeps others from, until the switch of
`switching`.
"""
