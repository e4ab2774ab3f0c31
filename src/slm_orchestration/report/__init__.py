"""Claims, numbers and printed tables, and the paper and HTML page made of them."""
