"""Another user of this machine, who may write to a directory that root uses."""

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

UID = 65534
ALONE_S = 60


@dataclass(frozen=True)
class Stranger:
    """Acts with no privilege at all, and only in `directory`, which is theirs."""

    directory: Path

    def does(self, script: str, *words: str, given: str | bytes = "") -> None:
        """Run a shell script there as the stranger; `words` are its `$1`, …"""
        subprocess.run(
            ["/bin/sh", "-euc", script, "sh", *words],
            cwd=self.directory,
            input=given.encode() if isinstance(given, str) else given,
            user=UID,
            group=UID,
            extra_groups=[],
            timeout=ALONE_S,
            check=True,
        )

    def plants(self, name: str, content: str | bytes) -> Path:
        """A file of the stranger's, below directories of theirs."""
        path = self.directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        for each in (path, *path.parents):
            if each == self.directory:
                break
            os.chown(each, UID, UID)
        return path

    def links(self, name: str, target: Path) -> Path:
        """A symbolic link of the stranger's."""
        path = self.directory / name
        path.symlink_to(target)
        os.lchown(path, UID, UID)
        return path

    def has(self, name: str) -> bool:
        return (self.directory / name).exists()


def made(directory: Path) -> Stranger:
    """A directory that belongs to the stranger."""
    directory.mkdir(mode=0o755)
    os.chown(directory, UID, UID)
    return Stranger(directory)
