"""
`token-vendor probe`: by few calls to a real Aurora, the unknowns of its pages become known.

`command.py` leads through one probe. `dialogue.py` asks the operator. `calls.py` makes the calls
over `line.py`, when `pacing.py` lets it, and `sessions.py` has the operator look at `tabs.py`, two
tabs with the Client SDK. `reading.py` answers the `questions.py` by what was
recorded, with a file for each kind (`of_lists.py` …): nothing is guessed. `stage_options.py` says
what follows for the options, `stage_file.py` writes it, and `report.py` keeps it all.
"""
