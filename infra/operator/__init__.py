"""
The operator's command line, `token-vendor`: `start.py` starts it, `cli.py` has the commands.

Everything goes through AWS's API, with the operator's own credentials. The local stack is asked
through the same calls.
"""
