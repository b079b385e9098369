"""How the probe fails, and what it costs: each in a process of its own."""

import contextlib
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import NoReturn

import pytest

from agent.recording.counting_cost import switch_often
from collectors.host.hierarchy import detect_layout
from collectors.sources import ebpf
from probes import bpf_syscall, errors, kernel, layout, loader
from probes.bpf_syscall import PROG_TYPE_RAW_TRACEPOINT, Program
from probes.compiled import CompiledProbes
from probes.compiler import MAPS
from probes.errors import HostError, JostleError
from probes.kernel import Member

pytestmark = pytest.mark.kernel
ROOT = Path(__file__).parents[2]


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Nothing is kept when a test begins: it is about the compiler, or about what is kept."""
    monkeypatch.setenv("JOSTLE_CACHE_DIRECTORY", str(tmp_path / "cache"))
    return tmp_path / "cache"


# Opens the probe as the daemon does, prints its resident set in kB; an error as the command line would.
OPEN = """
import os
import sys
from pathlib import Path
from collectors.sources import ebpf
from agent.recording.counting_cost import switch_often
from collectors.host.hierarchy import detect_layout
from probes.errors import JostleError
{before}
try:
    with ebpf.open_probe(detect_layout()) as probe:
        probe.read()
        status = Path("/proc/self/status").read_text()
        print(next(line.split()[1] for line in status.splitlines() if line.startswith("VmRSS")))
except JostleError as error:
    print(error)
    descriptors = (f"/proc/self/fd/{{name}}" for name in os.listdir("/proc/self/fd"))
    links = [os.readlink(path) for path in descriptors if os.path.exists(path)]
    assert not [link for link in links if "bpf" in link]
    try:
        os.waitpid(-1, os.WNOHANG)
    except ChildProcessError:
        sys.exit(error.exit_code)
    raise AssertionError("a child is left")
"""


def run_child(*prefix: str, before: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*prefix, sys.executable, "-c", OPEN.format(before=before)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=180,
    )


def open_descriptors() -> set[str]:
    """Those of BPF objects, which all say so in their link."""
    links = {}
    for entry in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # of the listing itself
            links[entry.name] = str(entry.readlink())
    return {f"{number} {link}" for number, link in links.items() if "bpf" in link}


@pytest.mark.usefixtures("cache")
def test_opening_is_silent_and_small() -> None:
    child = run_child()
    assert child.returncode == 0, child.stderr
    assert child.stderr == ""
    assert int(child.stdout) < 40_000
    assert "bcc" not in sys.modules  # 60 MB: in the process that compiles alone


@pytest.mark.usefixtures("cache")
def test_no_kernel_headers_are_needed() -> None:
    # The stubs of bpf/include are what the compiler sees, whatever is installed here.
    child = run_child("unshare", "--mount", "sh", "-c", 'mount -t tmpfs none /usr/src && exec "$@"', "sh")
    assert child.returncode == 0, child.stderr
    assert child.stderr == ""


def test_nobody_is_told_to_be_root() -> None:
    # Nobody, but able to read this checkout wherever it lies.
    may_read = ("--inh-caps=-all,+dac_read_search", "--ambient-caps=+dac_read_search")
    child = run_child("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", *may_read)
    assert child.returncode == 3
    assert "root" in child.stdout
    assert "Traceback" not in child.stderr


@pytest.mark.usefixtures("cache")
def test_a_kernel_without_type_information_is_named() -> None:
    child = run_child(
        "unshare", "--mount", "sh", "-c", 'mount -t tmpfs none /sys/kernel/btf && exec "$@"', "sh"
    )
    assert child.returncode == 3, child.stderr
    assert "CONFIG_DEBUG_INFO_BTF" in child.stdout


@pytest.mark.parametrize(
    "before",
    [
        "import resource; resource.setrlimit(resource.RLIMIT_NOFILE, (12, 12))",
        # Enough for the child that compiles, too few left here for what it hands over, or for what comes after.
        *(
            f"import os, resource; resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64)); "
            f"spare = [os.dup(0) for _ in range({taken})]"
            for taken in (35, 45)
        ),
    ],
    ids=["in the child", "attaching", "handing over"],
)
@pytest.mark.usefixtures("cache")
def test_out_of_descriptors_fails_clean(before: str) -> None:
    child = run_child(before=before)
    assert child.returncode == 1, child.stdout + child.stderr
    assert child.stderr == ""
    assert "ulimit -n" in child.stdout


@pytest.mark.usefixtures("cache")
def test_a_container_that_may_not_load_programs_is_told_what_it_lacks() -> None:
    child = run_child("setpriv", "--bounding-set=-bpf,-perfmon,-sys_admin")
    assert (child.returncode, child.stderr) == (3, "")
    assert "CAP_BPF" in child.stdout


@pytest.mark.usefixtures("cache")
def test_root_of_a_user_namespace_of_its_own_is_told_so() -> None:
    # It has all capabilities, over nothing that counts here: the kernel refuses the first map.
    child = run_child("unshare", "--user", "--map-root-user")
    assert (child.returncode, child.stderr) == (3, "")
    assert "Operation not permitted" in child.stdout
    assert "container" in child.stdout


@pytest.mark.usefixtures("cache")
def test_out_of_memory_in_the_compiler_is_told() -> None:
    child = run_child(before="import resource; resource.setrlimit(resource.RLIMIT_AS, (250 << 20,) * 2)")
    assert (child.returncode, child.stderr) == (1, "")
    assert "memory" in child.stdout


@pytest.mark.usefixtures("cache")
def test_a_map_that_the_kernel_has_no_memory_for_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    # Larger than all memory there is, so that the kernel does not even try.
    memory_bytes = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    monkeypatch.setattr(
        layout, "NR_TASK_RECORDS", 1 << (memory_bytes // layout.SIZE_TASK_RECORD).bit_length()
    )
    before = open_descriptors()
    with pytest.raises(JostleError, match=r"Cannot allocate memory.*free memory") as failed:
        ebpf.open_probe(detect_layout())
    assert failed.value.exit_code == 1
    assert open_descriptors() == before


@pytest.mark.parametrize("lockdown", ["none [integrity] confidentiality", "none integrity [confidentiality]"])
def test_a_helper_that_lockdown_takes_away_is_named_with_what_helps(
    lockdown: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As where bpf_probe_read_kernel is locked down: a helper that this type of program does not get.
    monkeypatch.setattr(errors, "LOCKDOWN", tmp_path / "lockdown")
    errors.LOCKDOWN.write_text(f"{lockdown}\n")
    skb_load_bytes = bytes.fromhex("850000001a000000")
    with pytest.raises(bpf_syscall.VerifierError, match=r"skb_load_bytes.*boot it without") as refused:
        bpf_syscall.load(
            Program("reads", skb_load_bytes + bytes.fromhex("9500000000000000"), PROG_TYPE_RAW_TRACEPOINT)
        )
    assert refused.value.exit_code == 3


def test_a_refused_program_says_what_the_verifier_said() -> None:
    before = open_descriptors()
    # r0 = *(u64 *)(r1 + 4096); exit: beyond the context.
    code = bytes.fromhex("7910001000000000") + bytes.fromhex("9500000000000000")
    with pytest.raises(bpf_syscall.VerifierError, match=r"invalid|bounds|access") as refused:
        bpf_syscall.load(Program("broken", code, PROG_TYPE_RAW_TRACEPOINT))
    assert refused.value.exit_code == 3
    assert "broken" in str(refused.value)
    assert open_descriptors() == before


def test_closing_gives_everything_back() -> None:
    before = open_descriptors()
    probe = ebpf.open_probe(detect_layout())
    assert open_descriptors() > before
    probe.close()
    probe.close()
    assert open_descriptors() == before


@pytest.mark.usefixtures("cache")
def test_offsets_that_do_not_fit_the_kernel_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    lying = Member("task_struct_pid", (("task_struct", "flags"),))
    members = [lying if member.name == lying.name else member for member in kernel.REQUIRED]
    monkeypatch.setattr(kernel, "REQUIRED", tuple(members))
    before = open_descriptors()
    with pytest.raises(HostError, match=r"task_struct\.pid.*nothing was attached"):
        ebpf.open_probe(detect_layout())
    assert open_descriptors() == before


def no_compiler(_: object) -> NoReturn:
    raise AssertionError("it was compiled again")


def test_the_second_start_needs_no_compiler_and_measures_the_same(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with ebpf.open_probe(detect_layout()) as first:
        assert first.origin == "compiled"
    monkeypatch.setattr(loader, "compile_probes", no_compiler)
    with ebpf.open_probe(detect_layout()) as second:
        (file,) = cache.iterdir()
        assert second.origin == f"kept in {file}"
        assert second.read().cgroups
        assert not [line for line in Path("/proc/self/maps").read_text().splitlines() if "LLVM" in line]


def spoilt(text: str, how: str) -> str:
    """The text of kept probes, damaged, or whole and with a program that the kernel refuses."""
    if how == "cut off":
        return text[:-1000]
    probes = CompiledProbes.from_text(text)
    beyond_the_context = bytes.fromhex("7910001000000000") + bytes.fromhex("9500000000000000")
    refused = {**probes.code, "on_canary": beyond_the_context}
    return replace(probes, code=refused, maps_at={**probes.maps_at, "on_canary": {}}).to_text()


@pytest.mark.parametrize("how", ["cut off", "refused by the kernel"])
def test_what_is_kept_and_no_good_is_said_and_compiled_anew(
    cache: Path, how: str, capfd: pytest.CaptureFixture[str]
) -> None:
    ebpf.open_probe(detect_layout()).close()
    (file,) = cache.iterdir()
    good = file.read_text()
    file.write_text(spoilt(good, how))
    before = open_descriptors()
    with ebpf.open_probe(detect_layout()) as probe:
        assert (probe.origin, probe.not_kept) == ("compiled", None)
    assert f"jostle: {file} is not taken: " in capfd.readouterr().err
    assert file.read_text() == good
    assert open_descriptors() == before


def test_the_hook_times_one_in_so_many_of_its_own_runs() -> None:
    """So that what it costs is known without the kernel's accounts of every program on the host."""
    with ebpf.open_probe(detect_layout()) as probe:
        before = probe.cost()
        switch_often(0.2)
        after = probe.cost()
    timed, switches = after.timed - before.timed, after.switches - before.switches
    assert 0 < timed <= switches / layout.TIMED_EVERY + kernel.count_cpus("possible")
    assert 0 < (after.timed_ns - before.timed_ns) / timed < 65_536


def test_the_kernel_memory_is_that_of_all_maps() -> None:
    with ebpf.open_probe(detect_layout()) as probe:
        held = probe.cost().memory_bytes
        shapes = [bpf_syscall.map_shape(probe._descriptors[name]) for name in MAPS]
    content = sum(shape.entries * max(8, shape.value_bytes) for shape in shapes)
    assert held is not None
    assert content <= held <= 1.5 * content
