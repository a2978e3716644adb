"""Unit tests run while the engine is still being prepared, so none of them may ask one."""

import pytest


@pytest.fixture(autouse=True)
def engine_out_of_reach(monkeypatch):
    """An engine that runs would hide a test that needs it; a test of engines names its own."""
    monkeypatch.setenv("DOCKER_HOST", "unix:///run/no-engine-for-unit-tests.sock")
