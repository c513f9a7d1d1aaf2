"""The agent service's paths; so far the health questions that orchestrators ask."""
