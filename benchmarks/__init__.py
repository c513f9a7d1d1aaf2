"""Speed as ratios measured in one run: `make bench`, explained in README.md beside this file."""
