"""A tree of JSON -> the same with one value changed, for what must refuse it."""

from __future__ import annotations

import random
from typing import Any

_VALUES = (None, True, -1, 0, 1, 2, 7, 1 << 20, 1 << 60, 0.5, "", "conv", [], [1], {}, {"a": 1})


def damaged(plain: Any, chance: random.Random) -> Any:
    """One value somewhere in the tree is another, missing, twice, or in another place."""
    holder, places = plain, list(plain)
    while True:
        key = chance.choice(places)
        inner = holder[key] if isinstance(holder, dict) else holder[places.index(key)]
        if not isinstance(inner, dict | list) or not inner or chance.random() < 0.1:
            break
        holder, places = inner, list(inner) if isinstance(inner, dict) else list(range(len(inner)))
    match chance.randrange(4):
        case 0:
            holder[key] = chance.choice(_VALUES)
        case 1:
            del holder[key]
        case 2 if isinstance(inner, int):
            holder[key] = inner + chance.choice((-16, -1, 1, 16))
        case _:
            if isinstance(holder, list):
                holder.insert(key, inner)
            else:
                holder[f"{key}x"] = holder.pop(key)
    return plain
