"""
`token-vendor probe`: by few calls to a real Aurora, the unknowns of its pages become known.

`questions.py` is what there is to know. `line.py` makes the calls, each reserved and counted, and
`exchange.py` is what one showed. `calls.py` is their order, `reading.py` what follows from them:
nothing is guessed. `stage_options.py` compares the outcome with cdk.json, `report.py` keeps it, and
`dialogue.py` asks the operator.
"""
