"""What is to be embedded and written of records, by what is stored of their items."""

from __future__ import annotations

from collections.abc import Mapping

from trichord.catalog.changes import ItemChange, facts, merged, same_facts
from trichord.catalog.preparing import Prepared
from trichord.catalog.written import Written
from trichord.errors import NotFound, TrichordError
from trichord.store import Reader, Writer
from trichord.store.keys import Lookup
from trichord.types import Modality


def unlike_stored(
    writer: Writer, prepared: Mapping[int, Prepared], plan: Written
) -> dict[str, list[int]]:
    """By space, positions of the records whose content is to be embedded, as it seems now."""
    positions = [p for p, one in prepared.items() if not one.only_attributes]
    if not positions:
        return {}
    seen = writer.lookup([prepared[p].item_id for p in positions])
    wanted: dict[str, list[int]] = {}
    for row, position in enumerate(positions):
        for name in lacking_in(prepared[position], seen, row, plan):
            wanted.setdefault(name, []).append(position)
    return wanted


def item_changes(
    writer: Writer,
    prepared: Mapping[int, Prepared],
    plan: Written,
    errors: dict[int, TrichordError],
    reader: Reader,
) -> tuple[dict[int, ItemChange], dict[str, list[int]]]:
    """Changes to items, their segments still to come; by space, the positions of those that
    need them."""
    positions = [p for p, one in prepared.items() if one.item_id]
    if not positions:
        return {}, {}
    seen = writer.lookup([prepared[p].item_id for p in positions])
    found = dict(zip(positions, seen.found.tolist(), strict=True))
    alike: dict[int, bool] = {}
    lacking: dict[int, list[str]] = {}
    doubtful: list[str] = []
    for row, position in enumerate(positions):
        one = prepared[position]
        alike[position] = found[position] and (
            one.only_attributes or one.is_content_of(seen.fingerprint[row].tobytes())
        )
        lacking[position] = [] if one.only_attributes else lacking_in(one, seen, row, plan)
        said = seen.attributes_fingerprint[row].tobytes()
        same = alike[position] and said == facts(one) and not lacking[position]
        if found[position] and not same:
            doubtful.append(one.item_id)
    stored = {row["item_id"]: row for row in reader.get_items(doubtful).to_pylist()}
    changes: dict[int, ItemChange] = {}
    wanted: dict[str, list[int]] = {}
    for position in positions:
        one = prepared[position]
        known = stored.get(one.item_id)
        if one.only_attributes and not found[position]:
            errors[position] = NotFound(
                f"there is no item {one.item_id!r} whose attributes could be set; "
                "give its content too",
                item_id=one.item_id,
            )
            continue
        if alike[position] and known is None:
            continue
        change = merged(one, known)
        change.new_content = not alike[position]
        change.same_facts = known is not None and same_facts(change, known)
        if alike[position] and change.same_facts and not lacking[position]:
            continue
        changes[position] = change
        for name in lacking[position]:
            wanted.setdefault(name, []).append(position)
    return changes, wanted


def lacking_in(one: Prepared, seen: Lookup, row: int, plan: Written) -> list[str]:
    """The spaces that the record's content is to be embedded for: all that are written where it is
    new, else those where the item has no segments. A ready vector is of the default space and of
    those that have the same vectors."""
    assert one.modality is not None
    modality: Modality = one.modality
    if one.vector is not None:
        names = [plan.space.name, *plan.sharing(modality)]
    else:
        names = [e.joint.name for e in plan.all if modality in e.joint.encoders]
    if not seen.found[row] or not one.is_content_of(seen.fingerprint[row].tobytes()):
        return names
    mask = int(seen.spaces[row])
    return [name for name in names if not mask >> plan.bits[name] & 1]
