"""
The same stack on one machine: MiniStack, a fake Aurora and an OIDC provider on loopback.
"""
