"""
Real concurrency on one machine: N execution environments behind a Runtime API.

`with Harness(processes=12, settings={...}) as harness: harness.vend("somebody@example.com")`

Every environment is a process of AWS's own runtime interface client running the built asset, so
that nothing but the table, the secret and Aurora is shared, as on Lambda. The table is MiniStack's,
whose conditional writes are atomic; moto's are not. Aurora is the fake, in this process, so that a
test sees and sets everything about it.
"""

from tests.support.environment import InvocationLostError
from tests.support.events import Answer, token_event
from tests.support.harness import TABLE, Harness

__all__ = ["TABLE", "Answer", "Harness", "InvocationLostError", "token_event"]
