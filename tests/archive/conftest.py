import os
import shutil
import tempfile
from pathlib import Path

import pytest


@pytest.fixture
def scratch(tmp_path):
    """A folder in memory where there is one: crash tests wait for fsync thousands of times."""
    shared_memory = Path("/dev/shm")
    if not os.access(shared_memory, os.W_OK):
        yield tmp_path
        return
    folder = Path(tempfile.mkdtemp(dir=shared_memory))
    yield folder
    shutil.rmtree(folder)
