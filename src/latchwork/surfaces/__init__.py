"""One package per dialect of the wire; none imports another."""
