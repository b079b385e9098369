"""The rates of two self-tests, as docs/accuracy.md and the README show them.

    .venv/bin/python -m benchmarks.accuracy QUIET.json BYSTANDER.json

The first is of a quiet host, the second was run with `--bystander`. What stands between the marks of either page is
written anew; a document that is partial, or the other of the two, is refused.
"""

import argparse
import json
import re
from collections.abc import Sequence
from pathlib import Path

from agent.documents.selftest import Selftest
from agent.selftest.score import CLEARED, FALSE_POSITIVES, TRUE_POSITIVES
from probes.errors import UsageError
from reports import markdown
from reports.sections.selftest import selftest_report

ROOT = Path(__file__).parent.parent
HOSTS = "On a quiet host", "Beside a bystander"


def load(path: Path, *, bystander: bool) -> Selftest:
    """The document of a whole run, with a bystander or without.

    Raises:
        UsageError: It is another.
    """
    found = Selftest.from_document(json.loads(path.read_text()))
    if found.partial or found.bystander is not bystander:
        wanted = "with --bystander" if bystander else "without --bystander"
        raise UsageError(f"{path} is not a whole run {wanted}", "give first the quiet one, then the other")
    return found


def sentence(runs: Sequence[Selftest]) -> str:
    """The three rates of each, in a line each."""
    lines = []
    for host, run in zip(HOSTS, runs, strict=True):
        by_name = {rate.name: rate for rate in run.rates}
        told = ", ".join(
            f"{name} {by_name[name].pct:.0f} % ({by_name[name].hits} of {by_name[name].trials})"
            for name in (TRUE_POSITIVES, FALSE_POSITIVES, CLEARED)
        )
        lines.append(f"* {host}: {told}; trials alone differ by {run.trial_noise_pct or 0:.1f} %.")
    return "\n".join(lines)


def tables(runs: Sequence[Selftest]) -> str:
    """Both reports, two headings deeper."""
    parts = []
    for host, run in zip(HOSTS, runs, strict=True):
        report = re.sub(r"^#", "###", markdown.render(selftest_report(run)), flags=re.MULTILINE)
        parts.append(f"### {host}\n\n{report.strip()}")
    return "\n\n".join(parts)


def between(page: str, mark: str, text: str) -> str:
    """The page with this text between `<!-- MARK -->` and `<!-- end of MARK -->`.

    Raises:
        UsageError: It has no such marks.
    """
    first, last = f"<!-- {mark} -->\n", f"<!-- end of {mark} -->"
    if page.count(first) != 1 or page.count(last) != 1:
        raise UsageError(f"the page has not one place for the {mark}", "put its marks back")
    head, _, rest = page.partition(first)
    return f"{head}{first}{text}\n{last}{rest.partition(last)[2]}"


def main() -> None:
    """Write both pages anew."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("quiet", type=Path)
    parser.add_argument("bystander", type=Path)
    options = parser.parse_args()
    runs = load(options.quiet, bystander=False), load(options.bystander, bystander=True)
    for name, text in (("README.md", sentence(runs)), ("docs/accuracy.md", tables(runs))):
        page = ROOT / name
        page.write_text(between(page.read_text(), "rates", text))


if __name__ == "__main__":
    main()
