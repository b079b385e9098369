"""Numbers on the workloads' command lines."""

import argparse
from collections.abc import Callable
from typing import TypeVar

Number = TypeVar("Number", int, float)


def between(minimum: Number, maximum: Number) -> Callable[[str], Number]:
    """An argparse type: numbers of the kind of `minimum`, both ends included."""

    def parse(text: str) -> Number:
        value = type(minimum)(text)
        if not minimum <= value <= maximum:  # true of nan as well
            raise argparse.ArgumentTypeError(f"must be from {minimum} to {maximum}")
        return value

    parse.__name__ = "number"  # argparse names the type in its message: invalid number value
    return parse
