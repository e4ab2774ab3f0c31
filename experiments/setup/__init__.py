"""What the commands share: the configuration, the tables that they start from, and tracking."""
