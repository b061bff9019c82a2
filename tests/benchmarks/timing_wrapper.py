"""Wrap a handler and add what a request took, and what its import brought in."""

import importlib
import os
import sys
import time

_module, _, _name = os.environ["TIMED_HANDLER"].rpartition(".")
_handler = getattr(importlib.import_module(_module), _name)
_modules = len(sys.modules)


def handler(event, context):
    cpu, wall = time.process_time(), time.perf_counter()
    response = _handler(event, context)
    response["wall_ms"] = (time.perf_counter() - wall) * 1000
    response["cpu_ms"] = (time.process_time() - cpu) * 1000
    response["modules"] = _modules
    return response
