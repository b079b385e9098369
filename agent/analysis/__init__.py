"""From windows to answers: where the time went, by whose doing, and in which words.

Imports `agent.documents`, `agent.recording`, `agent.store` and `agent.statistics`. Experiments, comparisons of
recordings and summaries share it, so that a share or an aggressor is one thing. It must not run or change anything.
"""
