"""What the paper prints: claims, tables, numbers."""
