"""The statistics of the differential runner: pure functions over numbers, no input or output.

    design.py          which arm of each block runs first; when to look, and how the error is shared between looks
    intervals.py       estimate and interval of the centre of a few noisy numbers, and of a proportion
    effect.py          pairs of trials, or windows -> slowdown, interval, p-value, noise floor; several metrics
    unpaired.py, switchback.py   the same of two recordings, and of slots of one victim
    covariates.py      less noise, by what others than the neighbours took
    failures.py        those beside the neighbours against those without
    tails.py           percentiles of the requests of an arm, where there are enough of them
    checks.py, power.py   does the order within a pair matter; what a planned experiment can show
    decision.py        effect -> verdict, reason, how many more pairs
    shares.py          where the extra time went, per cause
    dose_response.py   slowdown against the neighbours' level; the largest harmless level
    cycles.py          windows in which a tenant was busy beside those in which it was not, as pairs

The method, its sources and its simulated error rates: docs/method.md. numpy and scipy are imported in this
package alone, so a command that needs no statistics never pays for them. It imports nothing else of jostle but errors
and which direction of a metric is better, and must not know where its numbers come from.
"""
