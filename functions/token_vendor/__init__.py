"""
Vend Aurora access tokens to a company's signed-in users.

A request enters at `handler.py`, which turns the authorizer's claims into a
`Caller` (`caller.py`) and asks `vendor.py` for a token.  The vendor reads as the
protocol: stored and good → return it; otherwise take the lease in
`token_store.py`, find the account (`accounts.py`), stay inside Aurora's rate limit
(`request_budget.py`), generate (`aurora.py`, with the key of `api_key.py`), store,
release.  Values live in `models.py`, what can go wrong in `problems.py`, what
operators see in `observability.py`, and what can be configured in `settings.py`.
"""
