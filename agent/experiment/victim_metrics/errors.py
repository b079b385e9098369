"""Why one trial has no figure. The experiment may discard the trial and go on.

JostleError
└── MetricError                 the trial has no usable figure
    ├── MetricNotFoundError     the victim printed nothing that looks like it
    └── MetricRefusedError      the victim printed it, but as zero, negative, nan, inf, no number or an unclear one
"""

from probes.errors import JostleError


class MetricError(JostleError):
    """A trial whose end-to-end figure cannot be used."""


class MetricNotFoundError(MetricError):
    """No line of the victim's output holds the figure."""


class MetricRefusedError(MetricError):
    """The figure is there, but slowdowns are ratios: only a positive, finite number can be compared."""
