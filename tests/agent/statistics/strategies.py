"""What the property tests of this folder draw from."""

from hypothesis import strategies as st

from agent.statistics.effect import TrialPair

METRICS = st.floats(min_value=1e-3, max_value=1e6)
PAIR = st.builds(TrialPair, METRICS, METRICS, st.just(0.0))
PAIRS = st.lists(PAIR, min_size=2, max_size=12)
LOG_RATIOS = st.floats(min_value=-3, max_value=3)
