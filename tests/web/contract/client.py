"""Use a client by openapi-python-client: it vends, is told to wait, and forgets."""

import json
import sys

from generated import AuthenticatedClient
from generated.api.token import forget_token, vend_token
from generated.models import TokenRequest, Vended

client = AuthenticatedClient(base_url=sys.argv[1], token="caller")
vended = vend_token.sync(client=client, body=TokenRequest(min_ttl=60))
assert isinstance(vended, Vended)
vend_token.sync(client=client)
busy = vend_token.sync_detailed(client=client)
forgotten = forget_token.sync_detailed(client=client)
answer = [vended.token.jwt, busy.parsed.type_, busy.status_code, forgotten.status_code]
sys.stdout.write(json.dumps(answer))
