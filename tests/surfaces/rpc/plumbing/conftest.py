"""The world that every test of the plumbing asks things of."""

import pytest

from tests.surfaces.rpc.plumbing.things import World


@pytest.fixture
def world() -> World:
    """A fresh application with a fake family."""
    return World()
