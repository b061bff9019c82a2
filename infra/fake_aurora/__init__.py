"""
Aurora on loopback: one program for tests and for people, `python -m infra.fake_aurora`.

`rules.py` is Aurora without HTTP, over `users.py` and `tokens.py`. `behaviour.py` says what it can
be told to do, with each unknown of Aurora's pages, and `control.py` takes that over HTTP.
`server.py` answers at the wire.
"""
