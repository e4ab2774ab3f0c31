"""Outcomes that others recorded: read from their files, checked, priced, grouped and split."""
