"""Technologies behind the domains' ports; only where two of them can serve one port."""
