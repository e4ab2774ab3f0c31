"""Which tasks do small language models answer as well as large ones, and can a router tell in advance?"""
