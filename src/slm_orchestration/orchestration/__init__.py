"""The routers, live: choose a model for a request, ask it, and survive its failures."""
