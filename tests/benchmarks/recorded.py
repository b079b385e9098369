"""What the tools and the kernel printed on a real machine (perf 6.1, libbpf-tools' runqlat, kernel 6.18)."""

from pathlib import Path

OUTPUTS = Path(__file__).parent / "outputs"


def recorded(name: str) -> str:
    return (OUTPUTS / name).read_text(encoding="utf-8")
