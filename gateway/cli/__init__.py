"""The command line's options, failures and commands about the schema."""
