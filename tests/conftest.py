"""What the tests share: a clean engine after each file that asks for it."""

import os
import shutil

import pytest

from workshop.engine import session
from workshop.paths import WORKSPACES
from workshop.run import containers


@pytest.fixture(scope="module")
def left_clean():
    """After the file, everything that this session made is removed."""
    # Without a session of the tests' own, that would be the reader's work.
    assert os.environ.get("WORKSHOP_SESSION") == session.ident()
    yield
    containers.remove_all()
    session.remove_leftovers()
    shutil.rmtree(WORKSPACES / session.ident(), ignore_errors=True)
    assert not any(session.leftovers().values())
