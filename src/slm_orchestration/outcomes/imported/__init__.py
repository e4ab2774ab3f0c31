"""Outcomes that other people recorded: read from any table, completed, grouped and split."""
