"""`make deb` in clean roots of Debian and Ubuntu: installed, upgraded, purged. Asked for with `make test-packages`."""

import hashlib
import os
import shutil
import subprocess
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.cli.running import ROOT
from tests.vm import cache

pytestmark = [pytest.mark.slow, pytest.mark.root]

SUITES = {"bookworm": "deb12u1", "trixie": "deb13u1", "noble": "ubuntu24.04.1"}
DEBIAN, UBUNTU = "http://deb.debian.org/debian", "http://archive.ubuntu.com/ubuntu"
# Debian 12 does not have the keys of Ubuntu's archive (F6EC B376 2474 EDA9 D21B  7022 8719 20D1 991B C93C).
UBUNTU_KEYS = f"{UBUNTU}/pool/main/u/ubuntu-keyring/ubuntu-keyring_2023.11.28.1_all.deb"
UBUNTU_KEYS_SHA256 = "36de43b15853ccae0028e9a767613770c704833f82586f28eb262f0311adb8a8"
LOG = cache.CACHE / "deb.log"
# What apt and dpkg keep of their own, and what is mounted.
NOT_LOOKED_AT = ("proc", "sys", "root", "tmp", "var/lib/dpkg", "var/lib/apt", "var/cache/apt", "var/log")


def built(suite: str, version: str = "") -> Path:
    """A package for a release; with a version, as if it were of that one."""
    asked = {"DIST": suite, **({"VERSION": version} if version else {})}
    made = subprocess.run(
        ["packaging/deb.sh"],
        cwd=ROOT,
        env={**os.environ, **asked},
        capture_output=True,
        text=True,
        check=False,
    )
    assert made.returncode == 0, made.stderr
    return ROOT / made.stdout.strip()


def ubuntu_keys() -> Path:
    """The keyring of Ubuntu's archive, of a package that is known by its hash."""

    def fetch(made: Path) -> None:
        with urllib.request.urlopen(UBUNTU_KEYS, timeout=60) as answer:  # noqa: S310  one address
            package = answer.read()
        assert hashlib.sha256(package).hexdigest() == UBUNTU_KEYS_SHA256
        (made / "keys.deb").write_bytes(package)
        cache.run(["dpkg-deb", "--extract", made / "keys.deb", made], LOG)

    return cache.made("ubuntu-keys", UBUNTU_KEYS, fetch) / "usr/share/keyrings/ubuntu-archive-keyring.gpg"


class Clean:
    """A root made by mmdebstrap, in which nothing was ever installed but what jostle depends on."""

    def __init__(self, place: Path, suite: str) -> None:
        packages = "python3-bpfcc,libbpf1,init-system-helpers"
        base = cache.made(
            f"clean-{suite}", (suite, packages), lambda made: self._bootstrap(made, suite, packages)
        )
        self.place = place / suite
        cache.run(["cp", "-a", base, self.place], LOG)  # devices as devices: /dev/full has no end
        for name in ("resolv.conf", "hosts"):
            shutil.copy(f"/etc/{name}", self.place / "etc" / name)

    @staticmethod
    def _bootstrap(made: Path, suite: str, packages: str) -> None:
        words: list[str | Path] = ["mmdebstrap", "--variant=apt", f"--include={packages}"]
        if suite == "noble":
            words += ["--components=main,universe", f"--keyring={ubuntu_keys()}"]
        cache.run([*words, suite, made, UBUNTU if suite == "noble" else DEBIAN], LOG, limit_s=1200)

    def run(self, *words: str) -> str:
        """A command's output; the test fails with it."""
        plain = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C", "DEBIAN_FRONTEND": "noninteractive"}
        ended = subprocess.run(
            ["chroot", str(self.place), *words], env=plain, capture_output=True, text=True, check=False
        )
        assert ended.returncode == 0, ended.stdout + ended.stderr
        return ended.stdout

    def install(self, package: Path) -> None:
        """With apt, as a person does: nothing else is to come with it."""
        shutil.copy(package, self.place / "root/jostle.deb")
        self.run("apt-get", "install", "-qy", "/root/jostle.deb")

    def files(self) -> set[str]:
        """All that is there, but what apt and dpkg keep of their own."""
        ignored = {self.place / name for name in NOT_LOOKED_AT}
        found = set()
        for folder, folders, names in os.walk(self.place):
            folders[:] = [name for name in folders if Path(folder, name) not in ignored]
            found |= {str(Path(folder, name).relative_to(self.place)) for name in (*folders, *names)}
        return found


@pytest.fixture(params=SUITES)
def clean(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Clean, str]]:
    root = Clean(tmp_path, request.param)
    with ExitStack() as stack:
        for kind, name in (("proc", "proc"), ("sysfs", "sys")):
            subprocess.run(["mount", "-t", kind, kind, str(root.place / name)], check=True)
            stack.callback(subprocess.run, ["umount", str(root.place / name)], check=True)
        yield root, request.param


def test_installed_upgraded_and_purged_without_trace(clean: tuple[Clean, str]) -> None:
    root, suite = clean
    before = root.files()
    root.install(built(suite, "0.0.9"))
    configuration = root.place / "etc/jostle/jostle.toml"
    configuration.write_text(f"{configuration.read_text()}# mine\n")
    root.install(built(suite))
    version = root.run("dpkg-query", "-W", "-f", "${Version}", "jostle")
    assert version == f"{root.run('jostle', '--version').split()[1]}-1~{SUITES[suite]}"
    assert configuration.read_text().endswith("# mine\n")  # a conffile that was changed stays
    changed = [line for line in root.run("sh", "-c", "dpkg -V jostle || true").splitlines() if line]
    assert [line.split()[-1] for line in changed] == ["/etc/jostle/jostle.toml"]
    used = "import agent.analysis.verdict, bcc, matplotlib, reports.html, scipy.stats; print('all')"
    assert root.run("/usr/lib/jostle/bin/python", "-I", "-c", used) == "all\n"
    assert "complete" in root.run(
        "bash", "-c", ". /usr/share/bash-completion/completions/jostle; complete -p jostle"
    )
    assert root.run("zgrep", "-c", "jostle experiment", "/usr/share/man/man1/jostle.1.gz") != "0\n"
    unit = root.place / "usr/lib/systemd/system/jostle.service"
    command = unit.read_text().partition("ExecStart=")[2].split()[0]
    assert root.run(command, "--version") == root.run("jostle", "--version")
    for kept in ("var/lib/private/jostle/history.db", "var/cache/jostle/a.probes"):
        (root.place / kept).parent.mkdir(parents=True)
        (root.place / kept).touch()
    root.run("apt-get", "purge", "-qy", "jostle")
    assert root.files() - before <= {"var/lib/private"}  # systemd's, for any DynamicUser
    assert before <= root.files()


def test_the_same_checkout_makes_the_same_file() -> None:
    def digest() -> str:
        return hashlib.sha256(built("trixie").read_bytes()).hexdigest()

    assert digest() == digest()


def test_a_release_that_is_not_known_is_refused() -> None:
    ended = subprocess.run(
        ["packaging/deb.sh"],
        cwd=ROOT,
        env={**os.environ, "DIST": "sid"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ended.returncode, ended.stdout) == (2, "")
    assert "DIST is bookworm, trixie or noble" in ended.stderr
