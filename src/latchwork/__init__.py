"""Latchwork: issue, verify, limit, meter and explain access to any API."""
