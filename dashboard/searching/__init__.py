"""The parts of the pages Messages and Data."""
