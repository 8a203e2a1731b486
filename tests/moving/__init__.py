"""Moving in: freezer-api's catalogue in the gateway's tables."""
