"""The routers, one module each; each is configured by a file of conf/routing."""
