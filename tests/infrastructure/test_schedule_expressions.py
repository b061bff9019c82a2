"""What EventBridge Scheduler takes goes through; anything else is told in one line at synth."""

import pytest

from infra.stage.schedules import wrong_expression

TAKEN = [
    # The examples of AWS's page, and each wildcard of its table.
    "cron(0 10 * * ? *)",
    "cron(0 18 ? * MON-FRI *)",
    "cron(0 8 1 * ? *)",
    "cron(15 10 ? * 6L 2022-2023)",
    "cron(0 20 ? * FRIL *)",
    "cron(0 9 ? * 2#1 *)",
    "cron(0 9 ? * TUE#5 *)",
    "cron(0,30 0-23/2 L JAN,MAR,7-9 ? 1970,2199)",
    "cron(*/59 */23 3W 1/3 ? 2026/2)",
    "cron(0 0 LW * ? *)",
    "cron(0 0 ? * L *)",
    "rate(15 minutes)",
    "rate(1 minute)",
    "rate(1 hour)",
    "rate(12 hours)",
    "rate(1 day)",
    "rate(10 days)",
]
REFUSED = {
    "at(2026-11-20T13:00:00)": "at(…) starts it only once",
    "0 6 * * ? *": "must be cron(…) or rate(…)",
    "cron()": "must be cron(…) or rate(…)",
    "cron(0 6 * * ? *) ": "must be cron(…) or rate(…)",
    "cron(0 6 * * ?)": "cron takes six fields, with a blank between two: minutes hours day-of",
    "cron(0  6 * * ? *)": "cron takes six fields",
    "cron(0 6 * * * *)": 'just one of day-of-month and day-of-week must be "?"',
    "cron(0 6 ? * ? *)": 'just one of day-of-month and day-of-week must be "?"',
    "cron(60 6 * * ? *)": "minutes '60' is none of 0-59",
    "cron(0 24 * * ? *)": "hours '24' is none of 0-23",
    "cron(0 6 0 * ? *)": "day-of-month '0' is none of 1-31",
    "cron(0 6 32 * ? *)": "day-of-month '32' is none of 1-31",
    "cron(0 6 32W * ? *)": "day-of-month '32W' is none of 1-31",
    "cron(0 6 * 13 ? *)": "month '13' is none of 1-12 or JAN-DEC",
    "cron(0 6 ? * 0 *)": "day-of-week '0' is none of 1-7 or SUN-SAT",
    "cron(0 6 ? * MO-FR *)": "day-of-week 'MO-FR' is none of 1-7 or SUN-SAT",
    "cron(0 6 ? * 2#6 *)": "day-of-week '2#6' is none of",
    "cron(0 6 ? * 2/2 *)": "day-of-week '2/2' has a step",
    "cron(0 6 * * ? 1969)": "year '1969' is none of 1970-2199",
    "cron(0/0 6 * * ? *)": "minutes '0/0' has a step",
    "cron(0/60 6 * * ? *)": "minutes '0/60' has a step",
    "cron(0/ 6 * * ? *)": "minutes '0/' has a step",
    "cron(0 22-3 * * ? *)": "hours '22-3' ends before it begins; write two ranges",
    "cron(0 6 ? * FRI-MON *)": "day-of-week 'FRI-MON' ends before it begins",
    "cron(0 6- * * ? *)": "hours '6-' is none of 0-23",
    "cron(0 6,, * * ? *)": "hours '' is none of 0-23",
    "cron(? 6 * * ? *)": "minutes '?' is none of 0-59",
    "cron(-1 6 * * ? *)": "minutes '-1' is none of 0-59",
    "cron(0 \N{FULLWIDTH DIGIT SIX} * * ? *)": "is none of 0-23",
    "cron(99 99 * * ? *)": "minutes '99' is none of 0-59; hours '99' is none of 0-23",
    "rate(0 minutes)": 'must be such as "rate(15 minutes)"',
    "rate(1 minutes)": 'must be such as "rate(15 minutes)"',
    "rate(2 minute)": 'must be such as "rate(15 minutes)"',
    "rate(10 seconds)": 'must be such as "rate(15 minutes)"',
    "rate(1.5 hours)": 'must be such as "rate(15 minutes)"',
    "rate(15)": 'must be such as "rate(15 minutes)"',
}


@pytest.mark.parametrize("expression", TAKEN)
def test_what_aws_takes_is_taken(expression: str) -> None:
    assert wrong_expression(expression) == ""


@pytest.mark.parametrize("expression", REFUSED)
def test_what_aws_would_refuse_is_told(expression: str) -> None:
    why = wrong_expression(expression)
    assert REFUSED[expression] in why
    assert "\n" not in why
