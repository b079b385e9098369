"""The BPF programs as data: what the compiler made of the sources, as it is kept in a file and loaded by bpf(2) alone.

Code refers to maps by descriptors, which differ each time; here it says the map's name instead. All else that the code
depends on is in the key of its file: sources, definitions (the kernel's offsets among them) and machine.
"""

import base64
import contextlib
import json
import os
import platform
import resource
import struct
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from probes import bounded_json, bpf_syscall
from probes.bpf_syscall import MapShape, Program
from probes.errors import JostleError

SCHEMA = "jostle.probes/1"
BPF_DIR = Path(__file__).parent / "bpf"
# Joined into one text, because bcc does not see maps and their methods in an included file.
SOURCES = (
    "layout.h",
    "kernel.h",
    "slots.h",
    "cells.h",
    "blame.h",
    "wait.h",
    "timing.h",
    "counters.h",
    "kwork.c",
    "switch.c",
    "migrate.c",
    "wait_scan.c",
    "cell_walk.c",
    "pairs.c",
    "lifecycle.c",
    "runner.h",
    "block.c",
    "reclaim.c",
    "network.c",
    "canary.c",
)
_PRIME = 2**255 - 19
_MOST_MEMORY = 16 << 20
_INSTRUCTION = struct.Struct("<BBhi")
_LOAD_IMM64, _PSEUDO_MAP_FD = (
    0x18,
    1,
)  # include/uapi/linux/bpf.h: BPF_LD | BPF_IMM | BPF_DW, BPF_PSEUDO_MAP_FD


@dataclass(frozen=True, slots=True)
class CompileRequest:
    """What to compile with, and what to attach to (BTF ids by program name; none: untyped raw tracepoints)."""

    defines: dict[str, int]
    attach_ids: dict[str, int]
    typed: bool

    def to_json(self) -> str:
        """The form that `probes.compiler` reads."""
        return json.dumps(asdict(self))

    def key(self) -> str:
        """Tells code apart that was compiled of other sources, with other definitions or for another machine."""
        headers = sorted((BPF_DIR / "include").rglob("*.h"))
        of = [SCHEMA, platform.machine(), joined_source(), *(path.read_text() for path in headers)]
        return _checksum(json.dumps([*of, sorted(self.defines.items())]))


def joined_source() -> str:
    """All sources as one text; `#line` keeps the compiler's messages right."""
    return "".join(f'#line 1 "{name}"\n{(BPF_DIR / name).read_text()}' for name in SOURCES)


class DamagedError(ValueError):
    """The text is not what `CompiledProbes.to_text` makes."""


@dataclass(frozen=True, slots=True)
class CompiledProbes:
    """Maps and programs by name; `code` has 0 where a descriptor belongs, `maps_at` says of which map.

    Attributes:
        key: Of the request that it was compiled for.
        maps: How each map is made.
        code: Instructions of each program.
        maps_at: Of each program the map by the number of the instruction that refers to it.
    """

    key: str
    maps: dict[str, MapShape]
    code: dict[str, bytes]
    maps_at: dict[str, dict[int, str]]

    @classmethod
    def of(
        cls, key: str, map_descriptors: Mapping[str, int], programs: Mapping[str, bytes]
    ) -> "CompiledProbes":
        """From programs as bcc hands them out, whose maps are open in this process under these descriptors.

        Raises:
            JostleError: A program refers to something else.
        """
        names = {descriptor: name for name, descriptor in map_descriptors.items()}
        code: dict[str, bytes] = {}
        maps_at: dict[str, dict[int, str]] = {}
        for program, compiled in programs.items():
            blank, maps_at[program] = bytearray(compiled), {}
            for offset in range(0, len(compiled), _INSTRUCTION.size):
                opcode, registers, _, descriptor = _INSTRUCTION.unpack_from(compiled, offset)
                if opcode == _LOAD_IMM64 and registers >> 4 == _PSEUDO_MAP_FD:
                    if descriptor not in names:
                        raise JostleError(
                            f"the program {program} refers to a map without a name", "report this"
                        )
                    maps_at[program][offset // _INSTRUCTION.size] = names[descriptor]
                    _set_descriptor(blank, offset, 0)
            code[program] = bytes(blank)
        shapes = {name: bpf_syscall.map_shape(descriptor) for name, descriptor in map_descriptors.items()}
        return cls(key, shapes, code, maps_at)

    def to_text(self) -> str:
        """A line with the schema, the key and the checksum of both, and a second line with the rest."""
        code = {name: base64.b64encode(code).decode() for name, code in self.code.items()}
        maps = {name: list(shape) for name, shape in self.maps.items()}
        body = json.dumps({"maps": maps, "code": code, "maps_at": self.maps_at})
        head = {"schema": SCHEMA, "key": self.key, "checksum": _checksum(f"{self.key}\n{body}")}
        return f"{json.dumps(head)}\n{body}\n"

    @classmethod
    def from_text(cls, text: str) -> "CompiledProbes":
        """The same again.

        Raises:
            DamagedError: It is something else, or was changed.
        """
        try:
            first, body, _ = text.split("\n")
            head = bounded_json.parse(first, _MOST_MEMORY)
            if head["schema"] != SCHEMA or head["checksum"] != _checksum(f"{head['key']}\n{body}"):
                raise DamagedError(first[:80])
            found = bounded_json.parse(body, _MOST_MEMORY)
            return cls(
                key=head["key"],
                maps={name: MapShape(*shape) for name, shape in found["maps"].items()},
                code={name: base64.b64decode(code) for name, code in found["code"].items()},
                maps_at={
                    program: {int(at): name for at, name in places.items()}
                    for program, places in found["maps_at"].items()
                },
            )
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise DamagedError(str(error)) from error

    def load(self, programs: Sequence[Program]) -> dict[str, int]:
        """Make the maps and load the programs, whose `code` is filled in here; descriptors by name, the caller closes.

        Raises:
            VerifierError, HostError, JostleError: As `bpf_syscall.load`.
        """
        with contextlib.ExitStack() as undo, _may_lock_memory():
            descriptors = {}
            for name, shape in self.maps.items():
                descriptors[name] = bpf_syscall.create_map(name, shape)
                undo.callback(os.close, descriptors[name])
            loaded = _load_all([self._filled_in(program, descriptors) for program in programs])
            undo.pop_all()
        return descriptors | loaded

    def _filled_in(self, program: Program, descriptors: Mapping[str, int]) -> Program:
        code = bytearray(self.code[program.name])
        for at, name in self.maps_at[program.name].items():
            _set_descriptor(code, at * _INSTRUCTION.size, descriptors[name])
        return program._replace(code=bytes(code))


@contextlib.contextmanager
def _may_lock_memory() -> Iterator[None]:
    """Until 5.11 maps counted as memory that their maker locks. The limit is put back, since commands inherit it."""
    before = resource.getrlimit(resource.RLIMIT_MEMLOCK)
    try:
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_MEMLOCK, (resource.RLIM_INFINITY,) * 2)
        yield
    finally:
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_MEMLOCK, before)


def _checksum(text: str) -> str:
    """64 digits: the rest of the text as one number, by a prime. It tells what differs by chance.

    Nobody but root writes what is compared (`kept`), and hashlib would keep 3.4 MB of OpenSSL in every recording.
    """
    return f"{int.from_bytes(text.encode(), 'little') % _PRIME:064x}"


def _set_descriptor(code: bytearray, offset: int, descriptor: int) -> None:
    code[offset + 4 : offset + 8] = descriptor.to_bytes(4, "little")


def _load_all(programs: Sequence[Program]) -> dict[str, int]:
    """Load all at once: the verifier takes 0.2 s for each of the long ones. An executor would cost 1 MB for good."""
    loaded: dict[str, int] = {}
    failed: list[JostleError] = []

    def load(program: Program) -> None:
        try:
            loaded[program.name] = bpf_syscall.load(program)
        except JostleError as error:
            failed.append(error)

    threads = [threading.Thread(target=load, args=(program,)) for program in programs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failed:
        for descriptor in loaded.values():
            os.close(descriptor)
        raise failed[0]
    return loaded
