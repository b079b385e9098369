"""jostle on other kernels, under a real systemd and with a PMU, on a machine that has none of them.

`kernels.py` is the one table of kernels. What is fetched and built lies below `.cache/vm`, logs below
`.cache/vm/runs`. A run is judged by one line that it prints at its end (`verdict.py`), never by an exit code alone.
"""
