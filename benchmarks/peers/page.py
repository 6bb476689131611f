"""The section of docs/performance.md: written from the results alone."""

from __future__ import annotations

from pathlib import Path

from benchmarks.peers import bars, plots, tables
from benchmarks.peers.channel import ROOT
from benchmarks.peers.figures import Tree
from benchmarks.peers.workloads import MIXED, WORKLOADS

FILE = ROOT / "docs" / "performance.md"
BEGIN, END = "<!-- peers:begin -->", "<!-- peers:end -->"


def write(tree: Tree, page: Path) -> None:
    """Puts the section between its marks, and the figures into `figures/` beside the page."""
    before, begin, rest = page.read_text(encoding="utf-8").partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise SystemExit(f"{page} has no section between {BEGIN} and {END}")
    figures = page.parent / "figures"
    drawn = plots.draw(tree, figures)
    text = f"{before}{BEGIN}\n{text_of(tree, drawn)}\n{END}{after}"
    page.write_text(text, encoding="utf-8")


def text_of(tree: Tree, figures: list[tuple[str, str]] | None = None) -> str:
    """The section as Markdown; `figures` are pairs of what is said of one and its file's name."""
    asked, machine = tree["parameters"], tree["machine"]
    sizes = asked["sizes"]
    shown = [f"![{said}](figures/{name})" for said, name in figures or []]
    parts = [
        f"{sizes['rows']:,} rows of {sizes['dim']} dimensions, {asked['rounds']} rounds in turn, "
        f"{asked['threads']} threads for every engine, "
        f"{tree.get('took_seconds', 0) / 60:.0f} minutes in all. {machine['cpu']}, "
        f"{machine['cores']} cores, {machine['memory_gib']} GiB, Python {machine['python']}, "
        f"{tree['measured'][:10]}. Every figure is in `benchmarks/results/peers.json`.",
        bars.rendered(tree),
        "### One modality, no filter",
        f"Each engine at its lowest effort that reached recall@10 {0.95} on {sizes['tuning']} "
        f"queries; the recall here is on {sizes['measured']} others. Median of the rounds, and "
        "their quartiles.",
        tables.unfiltered(tree),
        *shown[:1],
        "### Filters",
        "First with the effort that unfiltered search needs, as a user has it who set it once; "
        "then with the lowest that reaches recall@10 0.95 under this filter, if there is one. "
        "Engines' own facilities for filters, prepared before the clock starts.",
    ]
    for workload in WORKLOADS:
        if workload.where is not None and workload.data != MIXED:
            parts += [f"**{_title(workload.label)}**", tables.filtered(tree, workload.name)]
    parts += shown[1:2]
    if asked["mixed"]:
        parts += [
            "### Three modalities in one collection",
            f"{sizes['rows']:,} rows in three equal parts with a gap between them. The wanted "
            "modality is a filter for the peers; Trichord has an index for each. The first effort "
            "is that of one modality without a filter.",
        ]
        for workload in WORKLOADS:
            if workload.where is not None and workload.data == MIXED:
                parts += [f"**{_title(workload.label)}**", tables.filtered(tree, workload.name)]
    parts += [
        "### Inserts under load",
        f"One thread searches without a pause while another inserts {asked['insert_size']:,} rows "
        f"at a time, {sizes['fresh'] // asked['insert_size']} times. *Found after*: from the "
        "return of the insert until a search has the last row of it at the first place. The recall "
        "of fresh rows counts only those among the true ten.",
        tables.inserts(tree),
        *shown[2:3],
        "### Deletes",
        "A tenth of the rows by id, after the inserts. Asked with the usual queries, and with the "
        "vectors of 200 deleted rows.",
        tables.deletes(tree),
        "### Building, memory, disk",
        "From vectors in memory to an index that another process opens. Memory is that of a "
        "process that has opened the files and answered the queries above: what is its own (in "
        "brackets, before it opened them), and pages of mapped files, libraries included.",
        tables.resources(tree),
        "### What each engine is asked for",
        tables.engines(tree),
        "Graphs have 16 neighbours and 100 candidates when building (voyager, hnswlib, usearch, "
        "Chroma, Milvus Lite, LanceDB's IVF_HNSW_SQ); LanceDB's IVF has √n partitions, its PQ a "
        "sub-vector for 16 dimensions and exact scores for 10 times the results, or for 30 times "
        "where that does not reach the recall. An engine that was given up on says after how many "
        "seconds.",
    ]
    return "\n\n".join(parts)


def _title(label: str) -> str:
    return label[0].upper() + label[1:]
