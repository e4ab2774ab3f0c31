"""The routers: one module each, and one file of conf/routing."""
