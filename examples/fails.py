"""A function that fails as real ones do: a low-level error inside, a clear one around it.

    faasctl run examples/fails.py                                  # fails: both errors, with the lines above them; exit 1
    faasctl run fails --args '[["12.50 EUR", "3 EUR"]]'            # works
"""
from decimal import Decimal, InvalidOperation
from typing import List, Optional


class InvoiceError(Exception):
    """A line of the invoice cannot be read."""


def fails(lines: Optional[List[str]] = None) -> str:
    """Sum the amounts of an invoice; its default invoice has a comma where a point belongs."""
    total = Decimal(0)
    for number, line in enumerate(lines or ["12.50 EUR", "7,90 EUR"], start=1):
        print("line {}: {}".format(number, line))
        total += _amount(number, line)
    return "{} EUR".format(total)


def _amount(number: int, line: str) -> Decimal:
    text, _, currency = line.partition(" ")
    if currency != "EUR":
        raise InvoiceError("line {}: expected EUR, got {!r}".format(number, currency))
    try:
        return Decimal(text)
    except InvalidOperation as err:
        raise InvoiceError("line {}: {!r} is not an amount".format(number, text)) from err
