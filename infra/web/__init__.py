"""
What a browser gets: the helper module `aurora-token.js`, and a page that shows it at work.
"""
