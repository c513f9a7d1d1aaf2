"""Serves the application on a socket: uvicorn's run, limits on every request, the fast lane for hot ones."""
