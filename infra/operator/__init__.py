"""
The operator's command line, `token-vendor`.
"""
