"""Engines that the tests start themselves, and stop by their process ids."""
