"""The manual against the code: references written from the code, names held against it, blocks that run."""
