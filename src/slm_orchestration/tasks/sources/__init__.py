"""Where rows come from: one module per kind of place. A source yields `Row`s; YAML says what to make of their fields."""
