"""An asset of its own: what CodeDeploy calls to try a new version of the token vendor."""
