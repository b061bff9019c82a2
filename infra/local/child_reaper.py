"""
Run a command that must not outlive the process that started it.

    python -I reaper.py COMMAND ARGUMENT...

The command gets its own process group, which ends when it does, when the reaper's standard
input closes, or on SIGTERM.  A pipe closes however its other end dies, SIGKILL included, and on
every system; Linux's parent-death signal would reach the command, but not what it has started.

Run as a file, with nothing but the standard library, because it starts once per command.
"""

import os
import signal
import subprocess
import sys
import threading
from contextlib import suppress

PATIENCE = 5


def main() -> int:
    command = subprocess.Popen(sys.argv[1:], stdin=subprocess.DEVNULL, process_group=0)

    def end() -> None:
        _signal_group(command.pid, signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            command.wait(PATIENCE)
        _signal_group(command.pid, signal.SIGKILL)

    def end_when_input_closes() -> None:
        # Nobody writes; unbuffered, because a daemon thread must not hold a lock when Python ends.
        while os.read(sys.stdin.fileno(), 1):
            pass
        end()

    signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=end).start())
    # Ctrl-C goes to everybody at the terminal; the starter decides in which order things end.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=end_when_input_closes, daemon=True).start()
    code = command.wait()
    # What the command has left behind.
    _signal_group(command.pid, signal.SIGKILL)
    return code


def _signal_group(group: int, number: int) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)


if __name__ == "__main__":
    sys.exit(main())
