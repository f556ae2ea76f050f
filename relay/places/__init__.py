"""Where clients are: the country and the autonomous system of an address, from the operator's own MMDB files."""
