"""
The Logs Insights queries that operators need, over the audit events of the function's log.

They stand as widgets on the operations dashboard, because a saved query
(`AWS::Logs::QueryDefinition`) lies where nobody looks at 08:10.
"""

WIDE = ("The slowest requests", "Failures of one caller (the variable Caller)")
AUDIT = 'filter message = "audit"'

QUERIES: dict[str, tuple[str, ...]] = {
    "Who was refused, and why": (
        AUDIT,
        "filter ispresent(audit.problem)",
        (
            "stats count(*) as times, max(@timestamp) as last "
            "by audit.problem as problem, coalesce(audit.email, audit.caller) as caller"
        ),
        "sort times desc",
        "limit 50",
    ),
    "Who burns generates": (
        AUDIT,
        'filter audit.source = "generated"',
        (
            "stats count(*) as generates, sum(audit.aurora_calls) as calls "
            "by coalesce(audit.email, audit.caller) as caller"
        ),
        "sort generates desc",
        "limit 20",
    ),
    "The slowest requests": (
        AUDIT,
        "sort audit.duration_ms desc",
        (
            "display @timestamp, audit.duration_ms, audit.outcome, audit.problem, "
            "audit.aurora_calls, audit.phases_ms.store, "
            "audit.phases_ms.lease, audit.phases_ms.budget, audit.phases_ms.account, "
            "audit.phases_ms.aurora, audit.cold_start, audit.request_id"
        ),
        "limit 20",
    ),
    "Failures of one caller (the variable Caller)": (
        AUDIT,
        'filter audit.caller = "CALLER_SHA256" and ispresent(audit.problem)',
        "sort @timestamp desc",
        (
            "display @timestamp, audit.problem, audit.status, audit.phases_ms.store, "
            "audit.aurora_calls, audit.request_id"
        ),
        "limit 50",
    ),
}
