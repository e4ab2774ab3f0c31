"""Where rows come from, one module per kind of place; YAML says what to make of a row's fields."""
