"""Rules about the sources themselves that no other tool can state."""
