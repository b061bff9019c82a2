"""The hook with which CodeDeploy tries a new version of the token vendor; a separate asset."""
