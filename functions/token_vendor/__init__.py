"""
Vend Aurora access tokens to a company's signed-in users.

A request enters at `handler.py`. `caller.py` turns the authorizer's claims into a `Caller`, and
`request_body.py` the optional body into a `TokenRequest`. `vendor.py` is the protocol of one
request, over the states and transitions of `token_item.py`. It finds the account (`accounts.py`;
`directory.py` for Aurora's list, with a `reading.py` of the pages of `paging.py`). It stays inside
Aurora's rate limit (`request_budget.py`, a ring of `places.py`). It generates (`aurora.py` over
`aurora_http.py`, with the key of `api_key.py`); `access_token.py` says what is believed of the JWT.
`control.py` is what operators have switched. `table.py` is the one way to DynamoDB.

`wiring.py` makes the parts of the `settings.py`, whose rules are in `options.py`. Values are in
`models.py`, failures in `problems.py`, what operators see in `observability.py`. `scheduled.py`
reads Aurora's list before the working day, and `prewarm.py` generates for those whom `forecast.py`
expects.
"""
