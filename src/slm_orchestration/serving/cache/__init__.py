"""The live cache: exact and semantic, with a threshold that keeps false hits within a budget."""
