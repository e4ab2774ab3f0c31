"""Figures: each a function from tables to a matplotlib Figure."""
