"""What was found, as Markdown tables."""

from __future__ import annotations

from benchmarks.peers.figures import (
    FEW,
    NONE,
    Tree,
    at,
    effort_text,
    found_engines,
    megabytes,
    p50s,
    p99,
    rate,
    rates,
    recall,
    seconds,
    share,
    spread,
    table,
)
from benchmarks.peers.measuring import BATCH
from benchmarks.peers.results import quartiles
from benchmarks.peers.workloads import MIXED, PLAIN, WORKLOADS


def unfiltered(tree: Tree) -> str:
    rows = []
    for about, engine in found_engines(tree):
        failed = engine.get(PLAIN, {}).get("failed")
        found = engine["workloads"].get("unfiltered", {}).get("lowest", {})
        reason = failed or found.get("failed")
        if reason:
            rows.append([about.label, NONE, NONE, NONE, NONE, reason])
            continue
        rows.append(
            [
                about.label,
                recall(found),
                spread(p50s(found)),
                p99(found),
                rate(rates(found)),
                _said(found),
            ]
        )
    head = ["engine", "recall@10", "p50, one query", "p99", f"queries/s, batches of {BATCH}"]
    return table([*head, "effort"], rows)


def _said(found: Tree) -> str:
    parts = [effort_text(found.get("effort"))]
    if found.get("queries", 500) < 500:
        parts.append(f"recall of {found['queries']} queries")
    if found.get("stopped"):
        parts.append(found["stopped"])
    return "; ".join(parts)


def filtered(tree: Tree, workload: str) -> str:
    """One filter, or one question over the mixed rows."""
    rows = []
    mixed = next(w for w in WORKLOADS if w.name == workload).data == MIXED
    for about, engine in found_engines(tree):
        if mixed and not about.mixed:
            continue
        failed = engine.get(MIXED if mixed else PLAIN, {}).get("failed")
        found = engine["workloads"].get(workload, {})
        reason = failed or found.get("failed")
        if reason or not found:
            rows.append([about.label, NONE, NONE, NONE, NONE, NONE, NONE, reason or "not run"])
            continue
        same, lowest = at(found, "same"), at(found, "lowest")
        said = lowest.get("failed") or _said(lowest)
        rows.append(
            [
                about.label,
                recall(same),
                spread(p50s(same)),
                recall(lowest),
                spread(p50s(lowest)),
                p99(lowest),
                rate(rates(lowest)),
                said,
            ]
        )
    head = ["engine", "recall@10, effort of unfiltered", "p50", "recall@10, lowest from 0.95 on"]
    return table([*head, "p50", "p99", f"queries/s, batches of {BATCH}", "that effort"], rows)


def resources(tree: Tree) -> str:
    rows = []
    for about, engine in found_engines(tree):
        found = engine.get(PLAIN, {})
        build, opened, held = (found.get(part, {}) for part in ("build", "open", "memory"))
        if "failed" in found:
            rows.append([about.label, NONE, found["failed"], *[NONE] * 4])
            continue
        spent = build.get("parts", {}).items()
        parts = ", ".join(f"{part} {seconds(took)}" for part, took in spent)
        rows.append(
            [
                about.label,
                seconds(build["seconds"]) if "seconds" in build else "as in process",
                parts or NONE,
                seconds(opened["seconds"]) if opened and about.kept else NONE,
                _own(held, found.get("idle")) if held else NONE,
                megabytes(held["mapped"]) if held else NONE,
                megabytes(build["disk"]) if build.get("disk") else NONE,
            ]
        )
    head = ["engine", "build", "of that", "opening it again", "memory of its own"]
    return table([*head, "mapped files", "disk"], rows)


def _own(held: Tree, idle: Tree | None) -> str:
    before = f" ({megabytes(idle['anonymous'])} before)" if idle else ""
    return megabytes(held["anonymous"]) + before


def inserts(tree: Tree) -> str:
    rows = []
    for about, engine in found_engines(tree):
        found = engine["workloads"].get("insert")
        if found is None:
            continue
        before = p50s(engine["workloads"].get("unfiltered", {}).get("lowest", {}))
        if "failed" in found:
            rows.append([about.label, found["failed"], *[NONE] * 6])
            continue
        searching, after = found.get("searching"), found.get("after", {})
        waits = found["found"]
        rows.append(
            [
                about.label,
                seconds(quartiles(found["insert"])[1]),
                "not found" if None in waits else seconds(max(waits)),
                seconds(quartiles(before)[1]) if before else NONE,
                seconds(searching["p50"]) if searching else NONE,
                seconds(searching["p99"]) if searching and searching["calls"] >= FEW else NONE,
                seconds(found["single"]["p50"]) if "single" in found else NONE,
                f"{share(after.get('recall'))} / {share(after.get('fresh'))}",
            ]
        )
    size = tree["parameters"]["insert_size"]
    head = ["engine", f"insert of {size:,} rows", "found after, longest", "p50 before"]
    head += ["p50 meanwhile", "p99 meanwhile", "p50 after", "recall@10 after, all / fresh rows"]
    return table(head, rows)


def deletes(tree: Tree) -> str:
    rows = []
    for about, engine in found_engines(tree):
        found = engine["workloads"].get("delete")
        if found is None:
            continue
        if "failed" in found or "after" not in found:
            rows.append([about.label, found.get("failed", NONE), *[NONE] * 3])
            continue
        returned = found["after"]["gone"] + found.get("by_deleted", {}).get("gone", 0)
        rows.append(
            [
                about.label,
                seconds(found["seconds"]),
                str(returned),
                share(found["after"]["recall"]),
                seconds(found["single"]["p50"]),
            ]
        )
    deleted = tree["parameters"]["sizes"]["deleted"]
    head = ["engine", f"delete {deleted:,} by id", "deleted ids that came back", "recall@10 after"]
    return table([*head, "p50 after"], rows)


def engines(tree: Tree) -> str:
    rows = []
    for about, _ in found_engines(tree):
        version = tree["versions"].get(about.package, "")
        rows.append(
            [
                about.label,
                f"{about.package} {version}".strip(),
                about.answers,
                about.filters or "none",
                about.note or NONE,
            ]
        )
    return table(["engine", "package", "a search returns", "filters", "besides"], rows)
