"""Numbers and quantities, in the words people read.

One rule: what is shown keeps every digit written or measured, so that 9.9999999 is not taken for its limit, 10.
"""

from __future__ import annotations

from decimal import Decimal

from events.plan.schema import Quantity


def number(value: float) -> str:
    """A whole number without decimals, any other with up to 15 significant digits: "10", "9.9999999", "0.3"."""
    if float(value).is_integer():
        return f"{value:.0f}"
    return f"{Decimal(f'{value:.15g}'):f}"  # 15: as many as every number keeps on its way into 64 bits and back


def shown(quantity: Quantity) -> str:
    """A number and its unit: "7", "3.2 s", "5%"."""
    space = "" if quantity.unit in ("", "%") else " "
    return f"{number(quantity.value)}{space}{quantity.unit}"
