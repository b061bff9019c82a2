"""
CloudWatch's dashboards, metric math and log queries, from local data: MiniStack has none of them.

It knows neither the operator's command line nor the local stack: both hand it what it draws.
"""
