"""Rate limits: the points that requests cost, and the buckets that they are charged to."""
