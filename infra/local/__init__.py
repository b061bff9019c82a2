"""
The same stack on one machine, on loopback alone: `python -m infra.local run`.

`stack.py` starts MiniStack (AWS), the fake Aurora, an OIDC provider and the demo page, and deploys
with the CDK. `ministack_workarounds.py` names each way in which MiniStack differs from AWS.
"""
