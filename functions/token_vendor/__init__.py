"""
Vend Aurora access tokens to a company's signed-in users.

A request enters at `handler.py`. `caller.py` turns the authorizer's claims into a `Caller`, and
`request_body.py` the optional body into a `TokenRequest`. `vendor.py` is the protocol, over the
states of `token_item.py`, which `token_store.py` writes. It finds the account (`accounts.py`, and
`directory.py` for Aurora's list), stays inside Aurora's rate limit (`request_budget.py`), and
generates (`aurora.py` over `bounded_http.py`, with the key of `api_key.py`). `control.py` is what
operators have switched. `table.py` is the one way to DynamoDB. Values are in `models.py`, failures
in `problems.py`, what operators see in `observability.py`, options in `settings.py` and
`options.py`. `scheduled.py` reads Aurora's list before the working day, and
`prewarm.py` generates for those whom `forecast.py` expects.
"""
