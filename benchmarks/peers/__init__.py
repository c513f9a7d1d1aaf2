"""What a team would write without us."""
