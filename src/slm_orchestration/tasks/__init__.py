"""Tasks: what they are, where they come from, how answers are graded, how they are split."""
