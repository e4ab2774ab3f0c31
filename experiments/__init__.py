"""Entry points: the only place that knows Hydra and MLflow."""
