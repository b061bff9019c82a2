"""
What every command of this project expects of a terminal.
"""

import io
import sys


def replace_what_it_cannot_show() -> None:
    """
    Print "?" for a sign that the terminal's encoding lacks; what was done is done all the same.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
