"""
`token-vendor-probe`: by few calls to a real Aurora, the unknowns of its pages become known.

`cli.py` leads through one probe. `dialogue.py` asks the operator. `calls.py` makes the calls over
`line.py`, when `pacing.py` lets it, and `tabs.py` has the operator look at two tabs with the Client
SDK. `reading.py` answers each question by what was recorded (`of_lists.py` …): nothing is guessed.
`stage_file.py` writes what follows into cdk.json, and `report.py` keeps it all.
"""
