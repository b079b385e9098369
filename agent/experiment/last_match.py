"""The last match of a pattern in a text, as a program of its own: a pattern may take for ever, and this can be ended.

`re` itself knows no limit, and looks for signals only between the steps of a match, of which one over megabytes takes
minutes. Standard input: a line of JSON with the pattern, then the text in UTF-8. Standard output: a JSON list of where
the group of the last match begins and ends, in characters; `null` if there is none. It imports the
standard library alone, and takes 40 to 100 ms for a short text, between two trials.
"""

import json
import re
import resource
import sys
import warnings

MOST_CPU_S = 2
"""Also for a program whose parent was killed: it ends by itself."""
MOST_MEMORY_BYTES = 1 << 30


def last_match(pattern: str, text: str) -> tuple[int, int] | None:
    """Where group 1 of the last match lies in which it took part.

    Args:
        pattern: a regular expression with one group, in which `^` and `$` match at the ends of lines.
        text: what is searched.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of patterns that a later Python may read differently
        compiled = re.compile(pattern, re.MULTILINE)
    last = None
    for match in compiled.finditer(text):
        last = match.span(1) if match[1] is not None else last
    return last


def main() -> None:
    """Read a pattern and a text, write where the last match is."""
    resource.setrlimit(resource.RLIMIT_CPU, (MOST_CPU_S, MOST_CPU_S))
    resource.setrlimit(resource.RLIMIT_AS, (MOST_MEMORY_BYTES, MOST_MEMORY_BYTES))
    pattern, _, text = sys.stdin.buffer.read().partition(b"\n")
    sys.stdout.write(json.dumps(last_match(json.loads(pattern), text.decode("utf-8", "surrogatepass"))))


if __name__ == "__main__":
    main()
