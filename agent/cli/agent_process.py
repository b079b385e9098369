"""The daemon's own process: what it is made of, without the command line's parser (see `exit_codes.become`).

    [--debug] [FILE]

`jostle agent` becomes this process by exec, so its id and its environment are those that systemd knows.
"""

import contextlib
import gc
import socket
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

from agent.cli.exit_codes import end_with
from agent.cli.output import say
from agent.daemon import config as configuration
from agent.daemon.config import Config
from agent.daemon.deadline import Bounded
from agent.daemon.detection import Detection
from agent.daemon.history_sink import History, Retention
from agent.daemon.journal import Journal
from agent.daemon.loop import Loop
from agent.daemon.notify import supervisor
from agent.daemon.service import Service
from agent.daemon.signals import ENDING, Signals
from agent.daemon.sinks import Sink
from agent.daemon.workers import Workers
from agent.documents.times import moment
from agent.recording.budget import Governor
from agent.recording.flight import FlightRecorder
from agent.recording.host import describe_host
from agent.recording.recorder import Complete
from agent.sandbox.leases import heal
from agent.store.run_file import pack
from collectors.host.hierarchy import CgroupLayout, detect_layout
from collectors.host.placement import weights
from collectors.host.resolver import matches
from collectors.sources.cgroup_files import CgroupReader
from collectors.sources.gatherer import SignalGatherer
from collectors.sources.signal_reader import SignalReader
from collectors.sources.tasks import read_tasks
from collectors.sources.throttling import binding_quota
from collectors.sources.tiers import Source, open_source
from collectors.windows.counters import WANTED
from probes.errors import JostleError
from probes.privilege import give_up, require_privilege
from reports.escape import for_terminal

# What all sinks together may take to write what they have when the agent ends.
_CLOSING_S = 2.5
# How long it may wait in all once it is to end: 2 s for a kernel file and 3 s for a pipe were 5.6 s beside others.
_STOOD_S = 4.0
# A window's signals of 1,000 cgroups take about 0.1 s; a cgroup file system that takes seconds is stuck.
_SIGNALS_WITHIN_S = 2.0
# Where nothing stalls, an idle cgroup's files are read in every third window: 41.3 ms a window instead of 46.9.
_MOST_SKIPPED = 2
_SEARCH_EVERY_OBJECTS = 20_000


def run(path: Path | None) -> int:
    """Until SIGTERM or SIGINT."""
    with Signals() as signals:
        _run(configuration.load(path), path, supervisor(say), signals)
    return 0


def _run(config: Config, path: Path | None, service: Service, signals: Signals) -> None:
    if config.agent.tier == "ebpf":
        require_privilege()
    _put_back(service)
    layout = detect_layout()
    with contextlib.ExitStack() as stack:
        events = WANTED if config.agent.counters else ()
        source = stack.enter_context(
            open_source(layout, config.agent.tier, events, io=config.agent.io, net=config.agent.network)
        )
        flight = _flight_recorder(config, source)
        give_up(source.read)  # before any thread is started: each has capabilities of its own
        sinks = list(_sinks(config, layout, service, flight))
        workers = Workers(sinks, service)
        stack.callback(workers.close, _CLOSING_S)
        governor = Governor(flight or source, config.agent.budget_pct)
        complete = stack.enter_context(_signals(config, layout, service))
        # What there is by now is garbage never, and what a window makes hardly ever. Python looked for cycles 15 times
        # a window of 300 cgroups among its new objects (2.5 ms), and in some windows in the whole heap (25 ms).
        gc.collect()
        gc.freeze()
        gc.set_threshold(_SEARCH_EVERY_OBJECTS, 10, 10)
        dump = partial(_dump, config, sinks, workers, service)
        Loop(config, path, governor, workers, service, signals, complete, flight, dump).run()


def _flight_recorder(config: Config, source: Source) -> FlightRecorder | None:
    mib = config.agent.flight_recorder_mib
    return FlightRecorder(source, mib << 20) if mib else None


def _dump(config: Config, sinks: Sequence[Sink], workers: Workers, service: Service) -> None:
    """What SIGUSR1 asks for."""
    history = next((sink for sink in sinks if isinstance(sink, History)), None)
    if history is None or not config.agent.flight_recorder_mib:
        service.warn("there are no seconds to write down: see agent.flight_recorder_mib and history.enabled")
        return
    workers.ask(history.name, history.dump)
    service.inform("the seconds of the flight recorder go into the history")


def _put_back(service: Service) -> None:
    """What a killed experiment left frozen or capped. The unit lets the agent change no cgroup: `jostle thaw` does."""
    try:
        found = heal()
    except JostleError as error:
        service.warn(str(error))
        return
    for file in found.put_back:
        service.inform(f"a killed experiment had left it changed, and it was put back: {file}")
    for trouble in found.failed:
        service.warn(f"a killed experiment left it changed; run `jostle thaw`: {trouble}")


@contextlib.contextmanager
def _signals(config: Config, layout: CgroupLayout, service: Service) -> Iterator[Complete]:
    """What completes a window."""
    if not config.agent.signals:
        yield lambda window, before, after: window  # noqa: ARG005  nothing to add
        return
    globs = config.agent.cgroups
    reader = SignalReader(layout, cgroups=CgroupReader(layout, _MOST_SKIPPED))
    with SignalGatherer(layout, reader=reader) as gatherer:
        begin = partial(gatherer.begin, lambda path: not globs or matches(path, globs))
        bounded = Bounded("kernel files", gatherer.complete, _SIGNALS_WITHIN_S, service, begin)
        yield bounded
        bounded.close()


def _facts(config: Config, layout: CgroupLayout) -> Mapping[str, str]:
    return {
        "started": moment(time.time()),
        "host": pack(describe_host(layout)),
        "tier": config.agent.tier,
        "globs": ", ".join(config.agent.cgroups),
        "flight_recorder_mib": str(config.agent.flight_recorder_mib),
    }


def _sinks(
    config: Config, layout: CgroupLayout, service: Service, flight: FlightRecorder | None
) -> Iterator[Sink]:
    if config.history.enabled:
        yield History(
            Path(config.history.path),
            Retention.of(config.history),
            _facts(config, layout),
            flight.flight if flight else None,
        )
    if config.detection.enabled:
        yield Detection(
            config.detection,
            partial(binding_quota, layout),
            partial(read_tasks, layout),
            partial(weights, layout),
        )
        yield Journal(sys.stdout)
        if config.alerts.url:
            from agent.daemon.alerts import Alerts

            yield Alerts(config.alerts, socket.gethostname(), service.warn, service.inform)
    if config.metrics.enabled:
        from agent.daemon.metrics.sink import Metrics

        yield Metrics(config.metrics, for_terminal)


if __name__ == "__main__":
    _debug = sys.argv[1:2] == ["--debug"]
    _files = sys.argv[1 + _debug :]
    end_with(
        lambda: run(Path(_files[0]) if _files else None), debug=_debug, ended_by=ENDING, stood_s=_STOOD_S
    )
