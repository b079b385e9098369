"""Where opinions are formed: recording, the experiment, statistics, verdicts, and the command line.

Imports from `collectors` and `probes`. Only `agent.cli`, the composition root, may import `reports`.
"""
