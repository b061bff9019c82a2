"""
The CDK app (`app`, `stack`) and the tools around it (`local`, `web`, `operator`).
"""
