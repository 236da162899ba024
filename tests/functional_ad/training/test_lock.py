import os
import re
import socket

import pytest

from functional_ad.training._errors import CommandError
from functional_ad.training._lock import hold_lock


def test_a_folder_is_held_by_one_at_a_time(tmp_path):
    text = f"--run-dir: '{tmp_path}' is in use by process {os.getpid()} on {socket.gethostname()}"
    with hold_lock(tmp_path):
        with pytest.raises(CommandError, match=f"^{re.escape(text)}$") as caught:
            hold_lock(tmp_path).__enter__()
        assert caught.value.status == 1

    with hold_lock(tmp_path):
        pass


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "lock").mkdir()

    text = f"--run-dir: cannot write '{tmp_path}/lock' (Is a directory)"
    with pytest.raises(CommandError, match=f"^{re.escape(text)}$"), hold_lock(tmp_path):
        pass
