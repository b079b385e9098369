"""From windows to answers: where the time went, by whose doing, and in which words.

    observation.py     what a victim did in one stretch of time: a trial, or windows of a recording
    causes.py, aggressors.py   of pairs of these: where the extra time went, and who took it
    growth.py, rereads.py   how much more there was of something; what was only read again
    verdict.py         these with the statistics' judgement as a verdict: what an effect and what a doubt is
    recordings.py, before_after.py, within_run.py   pairs of recordings, or of windows of one
    blocked.py         what a victim slept on, of the time that no other cause explains
    advice.py          what to do about a verdict
    blame.py           who one cgroup waited for
    summarise.py, untracked.py   a recording as a summary, and what it does not know
    now.py, placement.py   who suffers on this host, and what holds it there
    top.py             the live table

Imports `agent.documents`, `agent.recording`, `agent.store` and `agent.statistics`. Experiments, comparisons of
recordings and summaries share it, so that a share or an aggressor is one thing. It must not run or change anything.
"""
