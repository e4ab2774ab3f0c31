"""Language models: one protocol, and what answers behind it."""
