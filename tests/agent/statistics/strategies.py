"""What the property tests of this folder draw from."""

from hypothesis import strategies as st

from agent.statistics.effect import TrialPair

METRICS = st.floats(min_value=1e-3, max_value=1e6)
PAIRS = st.lists(st.builds(TrialPair, METRICS, METRICS), min_size=2, max_size=12)
LOG_RATIOS = st.floats(min_value=-3, max_value=3)
