"""
The CDK app (`app`, over `stack` and `stage`) and the tools around it.

`stack` declares what is deployed, `stage` reads cdk.json, and `build` makes what ships and runs the
CDK. `local` runs the same stack on one machine before `fake_aurora`. `operator` is the command
line, and `web` is what a browser gets.
"""
