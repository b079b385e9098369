"""Other people's processes: commands in cgroups of our own, freezing, quotas, and the janitor that undoes it all.

Imports nothing else of `agent`. Whatever is changed on the host is told to the janitor first. It must not measure.
"""
