"""Where a dataset lies: a directory, or a bucket of an object store. Names are relative, their parts split by `/`."""

import os
import shutil
from collections.abc import Iterator
from contextlib import suppress
from datetime import timedelta
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

from agent.store.files import cannot_write, own_directory, own_place
from probes.errors import HostError, JostleError, UsageError

_HIDDEN = "."
_ELSEWHERE = "give another DATASET"


class Place(Protocol):
    """What shipping and asking need of it."""

    def put(self, name: str, content: bytes | Path) -> None:
        """Write all of it, or nothing that can be seen; what was there is replaced. Raises JostleError."""

    def get(self, name: str) -> bytes | None:
        """What is there; None: nothing. Raises JostleError."""

    def names(self, folder: str) -> Iterator[str]:
        """All below a folder, in no order. Raises JostleError."""

    def delete(self, name: str) -> None:
        """Remove what may be there. Raises JostleError."""


def place_of(dataset: str) -> Place:
    """The place that a directory's path, or a URL (`s3://bucket/prefix`, `gs://…`, `az://…`), means.

    Raises:
        UsageError: It is no such URL.
    """
    return ObjectStore(dataset) if "://" in dataset else Folder(Path(dataset))


class Folder:
    """A directory. What is written lies there under a hidden name until it is on the disk."""

    def __init__(self, root: Path) -> None:
        self.root = root.absolute()

    def put(self, name: str, content: bytes | Path) -> None:
        """See `Place`."""
        path = self._writable(name)
        # One shipper writes the files of a host, and one compaction those of a dataset: what a kill left is replaced.
        temporary = path.with_name(f"{_HIDDEN}{path.name}")
        try:
            if isinstance(content, Path):
                _copy(content, temporary)
            else:
                with temporary.open("wb") as file:
                    file.write(content)
                    os.fsync(file.fileno())
            temporary.rename(path)
            folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
        except OSError as error:
            with suppress(OSError):
                temporary.unlink()
            raise cannot_write(path, error, _ELSEWHERE) from error

    def _writable(self, name: str) -> Path:
        """Where to write it: no directory on the way is somebody else's to change."""
        try:
            at = own_directory(self.root, _ELSEWHERE)
            for part in Path(name).parent.parts:
                # As others may who read datasets: whether they get here, the directory that it is in says.
                (at / part).mkdir(exist_ok=True)
                at = own_place(at / part, _ELSEWHERE, make=False)
        except OSError as error:
            raise cannot_write(self.root / name, error, _ELSEWHERE) from error
        return at / Path(name).name

    def get(self, name: str) -> bytes | None:
        """See `Place`."""
        try:
            return (self.root / name).read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise UsageError(f"cannot read {self.root / name} ({error.strerror})", _ELSEWHERE) from error

    def names(self, folder: str) -> Iterator[str]:
        """See `Place`."""
        for directory, _, files in os.walk(self.root / folder):
            at = Path(directory).relative_to(self.root)
            yield from (str(at / file) for file in files if not file.startswith(_HIDDEN))

    def delete(self, name: str) -> None:
        """See `Place`."""
        try:
            self._writable(name).unlink(missing_ok=True)
        except OSError as error:
            raise cannot_write(self.root / name, error, _ELSEWHERE) from error


def _copy(source: Path, target: Path) -> None:
    with source.open("rb") as reader, target.open("wb") as writer:
        shutil.copyfileobj(reader, writer, 1 << 20)
        os.fsync(writer.fileno())


class ObjectStore:
    """S3, GCS, Azure or what speaks like them, by obstore: credentials and endpoint come from the environment."""

    def __init__(self, url: str) -> None:
        self._url = url.rstrip("/")
        _ = self._store

    @cached_property
    def _store(self) -> Any:  # noqa: ANN401  obstore's types are not followed
        try:
            from obstore.store import from_url
        except ImportError as error:
            raise missing_extra("obstore") from error
        try:
            # Nobody waits for a store that is away: what could not be shipped goes with the next hour's.
            retries = {"max_retries": 3, "retry_timeout": timedelta(seconds=30)}
            return from_url(self._url, client_options={"allow_http": True}, retry_config=retries)
        except Exception as error:  # its errors have one base, and URLs that it cannot parse another
            raise UsageError(f"{self._url} is no dataset ({_first_line(error)})", _ELSEWHERE) from error

    def put(self, name: str, content: bytes | Path) -> None:
        """See `Place`: an object is there whole or not at all."""
        self._ask("write", name, lambda: self._store.put(name, content))

    def get(self, name: str) -> bytes | None:
        """See `Place`."""
        try:
            return bytes(self._store.get(name).bytes())
        except FileNotFoundError:
            return None
        except Exception as error:
            raise self._unreachable("read", name, error) from error

    def names(self, folder: str) -> Iterator[str]:
        """See `Place`."""
        listed = self._ask(
            "list", folder, lambda: [each for page in self._store.list(folder) for each in page]
        )
        yield from (each["path"] for each in listed)

    def delete(self, name: str) -> None:
        """See `Place`."""
        self._ask("delete", name, lambda: self._store.delete(name))

    def _ask(self, what: str, name: str, work: Any) -> Any:  # noqa: ANN401
        try:
            return work()
        except Exception as error:
            raise self._unreachable(what, name, error) from error

    def _unreachable(self, what: str, name: str, error: Exception) -> JostleError:
        return JostleError(
            f"cannot {what} {self._url}/{name} ({_first_line(error)})", "what is shipped stays"
        )


def missing_extra(module: str) -> JostleError:
    """What to raise where the packages of the extra are not installed."""
    return HostError(
        f"the Python package {module} is not installed", "pip install 'jostle[fleet]' (docs/fleet.md)"
    )


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
