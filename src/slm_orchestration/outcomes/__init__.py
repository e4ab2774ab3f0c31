"""Running models on tasks, and keeping what they answered."""
