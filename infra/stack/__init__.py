"""
The stack of one stage and its constructs: what `cdk deploy` puts into an AWS account.

Start with `token_vendor.py`, which reads like the diagram in the README. Each other file is
one part of it: API, function, scheduled reading, storage, website, and what operators look at.
"""
