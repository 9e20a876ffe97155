"""Processes that end with their parent, also when it is killed."""

import ctypes
import os
import signal
import sys


def end_with_parent(parent: int | None = None) -> None:
    """Let the kernel kill this process when the thread that started it ends (Linux; elsewhere this does nothing).

    `parent` is the process id of the parent, for a process that may have lost it already; it then ends at once.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, int(signal.SIGKILL))  # PR_SET_PDEATHSIG
    if parent is not None and os.getppid() != parent:
        os._exit(0)
