"""What is run around each trial: `--prepare` before it, `--cleanup` after it, in a cgroup of their own.

Code 75 (EX_TEMPFAIL, sysexits.h) says that this trial is not to count; it is repeated. Any other failure ends the
experiment: what was to be prepared is not.
"""

import contextlib
import os
from collections.abc import Iterator

from agent.experiment.outputs import Outputs
from agent.experiment.plan import Plan
from agent.sandbox.cgroups import Group
from agent.sandbox.commands import start, wait_for_first
from agent.sandbox.interrupts import Interrupts
from probes.errors import JostleError


class TrialVoidedError(JostleError):
    """A command around a trial says that the trial is not to count."""


class AroundTrial:
    """Runs both commands of a plan; a plan without them has nothing run."""

    def __init__(self, plan: Plan, group: Group, outputs: Outputs, interrupts: Interrupts) -> None:
        self._plan = plan
        self._group = group
        self._outputs = outputs
        self._interrupts = interrupts

    @contextlib.contextmanager
    def trial(self, stem: str) -> Iterator[None]:
        """A trial runs within. What the preparation left running, such as a server, goes on until its end.

        Raises:
            TrialVoidedError: One of the commands said so.
            JostleError: One of them failed, or took longer than a run of the victim may.
        """
        try:
            try:
                self._run("prepare", self._plan.prepare, stem, self._interrupts)
                yield
            except BaseException:
                # What ended the trial is to be told, not what then came of cleaning up.
                with contextlib.suppress(JostleError):
                    self._run("cleanup", self._plan.cleanup, stem)
                raise
            self._run("cleanup", self._plan.cleanup, stem)
        finally:
            self._group.stop()

    def _run(self, option: str, text: str | None, stem: str, interrupts: Interrupts | None = None) -> None:
        if text is None:
            return
        out, err = (where(f"{stem}-{option}") for where in (self._outputs.out, self._outputs.err))
        command = start(text, self._group, None, out, err)
        try:
            command.release()
            ended = wait_for_first([command], self._plan.timeout_s, interrupts)
            code = command.popen.wait() if ended else None
        finally:
            command.close()
        if ended is None:
            raise JostleError(
                f"--{option} did not end within {self._plan.timeout_s:g} s", "raise --timeout, or have it end"
            )
        if code == os.EX_TEMPFAIL:
            raise TrialVoidedError(f"--{option} exited with {code}: this trial is not to count")
        if code:
            raise JostleError(f"--{option} {command.ending()}", f"see {err}")
