"""The gateway: the orchestrator behind an HTTP interface that OpenAI's clients talk to."""
