"""Language models: one protocol, and its implementations on this machine, behind a server, and scripted for tests."""
