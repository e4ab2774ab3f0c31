"""Sources of rows, one module per kind: wheels, local files, the hub, recorded answers and seeded generators."""
