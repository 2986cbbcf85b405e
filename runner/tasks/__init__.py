"""A task folder: task.toml (validated), its files, and the trusted problem.py that makes data and scores answers."""
