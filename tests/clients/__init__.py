"""Other people's GraphQL tools, against a running gateway: `make test-clients`."""
