"""The house itself: its layout, command line, settings, schema's history and documents."""
