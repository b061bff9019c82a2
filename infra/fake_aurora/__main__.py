"""The fake Aurora as a program: `python -m infra.fake_aurora --port 9400`."""

import argparse
import os
import signal
import time

from infra.fake_aurora.behaviour import OPERATIONS
from infra.fake_aurora.fake_aurora import FakeAurora


def main() -> None:
    """Serve until Ctrl-C; the keys come from AURORA_API_KEY (comma-separated) or are made up."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=9400, help="0 picks a free one")
    port = parser.parse_args().port
    keys = [key for key in os.environ.get("AURORA_API_KEY", "").split(",") if key]
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with FakeAurora.running(port=port, api_keys=keys) as aurora:
            print(aurora.url, flush=True)
            print(f"tenant {aurora.tenant_id}, operations {', '.join(OPERATIONS)}", flush=True)
            if not keys:
                print(f"API key {aurora.api_key}", flush=True)
            # Short waits: a signal that arrives just before a wait is handled when that wait ends.
            while True:
                time.sleep(1)
    except KeyboardInterrupt:
        pass


if __name__ == "__main__":
    main()
