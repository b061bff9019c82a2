"""
What a browser gets: the npm package of the helper, and a page that shows it at work.

`demo_files.py` names the page's files and headers, for the website's construct and for loopback.
`loopback.py` serves them, and the probe's tabs, on this machine.
"""
