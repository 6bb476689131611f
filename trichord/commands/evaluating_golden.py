"""eval golden: make golden sets, look at them, check them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from trichord.commands.common import json_option, print_json, reached
from trichord.commands.evaluating_options import MODALITIES, console, golden_argument, where_options

into_option = click.option(
    "--into",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("golden"),
    show_default=True,
    help="Folder that holds golden sets.",
)
name_option = click.option("--name", required=True, help="Name of the golden set.")
description_option = click.option("--description", default="")
judges_option = click.option(
    "--judges", type=click.Choice(["item", "entity"]), default=None, help="What is judged."
)


@click.group("golden")
def golden() -> None:
    """Golden sets: make, look at and check them."""


@golden.command("import")
@click.option(
    "--judgements",
    required=True,
    type=click.Path(path_type=Path),
    help="Table (.csv .tsv .jsonl .parquet) of query_id, item_id or entity_id, and grade; any "
    "other ending: TREC qrels.",
)
@click.option(
    "--queries",
    type=click.Path(path_type=Path),
    help="Table of query_id, text | uri | item_id | entity_id, modality, where and slice columns; "
    "any other ending: TREC topics. Without it only runs that exist can be judged.",
)
@name_option
@into_option
@description_option
@judges_option
@click.option("--complete", is_flag=True, help="What is not judged is known to be wrong.")
@click.option("--negative-as-zero", is_flag=True, help="Take negative grades as not relevant.")
@click.option("--drop-unanswered", is_flag=True, help="Leave out queries without a right answer.")
def import_(
    judgements: Path,
    queries: Path | None,
    name: str,
    into: Path,
    description: str,
    judges: str | None,
    complete: bool,
    negative_as_zero: bool,
    drop_unanswered: bool,
) -> None:
    """Make the next version of a golden set of tables or TREC files; all mistakes are listed."""
    from trichord.evaluation.importing import read

    made = read(
        name,
        judgements,
        queries,
        judges=judges,
        description=description,
        complete=complete,
        negative_as_zero=negative_as_zero,
        drop_unanswered=drop_unanswered,
    )
    _saved(made.save(into))


golden.add_command(
    click.Command(
        "create",
        params=list(import_.params),
        callback=import_.callback,
        help="The same as `import`.",
        short_help="The same as `import`.",
    )
)


@golden.command("from-attribute")
@click.argument("attribute")
@where_options
@click.option("--modality", "modalities", multiple=True, type=click.Choice(MODALITIES))
@click.option("--where", default=None, help="Only items that pass this filter.")
@click.option(
    "--template",
    "templates",
    multiple=True,
    default=("{label}",),
    show_default=True,
    help="Text of a query, with {label}; may be repeated.",
)
@click.option("--least", type=int, default=1, show_default=True, help="Items a value must have.")
@click.option("--popularity", default=None, help="Numeric attribute that tells head from tail.")
@click.option("--top", type=float, default=0.2, show_default=True, help="Share that is the head.")
@name_option
@into_option
@description_option
@judges_option
def from_attribute_(
    attribute: str,
    store: str,
    space: str | None,
    server: str | None,
    token: str | None,
    tls_ca: str | None,
    modalities: tuple[str, ...],
    where: str | None,
    templates: tuple[str, ...],
    least: int,
    popularity: str | None,
    top: float,
    name: str,
    into: Path,
    description: str,
    judges: str | None,
) -> None:
    """Make a golden set of what the catalogue knows: the values of ATTRIBUTE are the queries, the
    items that have them the answers."""
    from trichord.evaluation.building import from_attribute

    with reached(store, server, token, tls_ca, space) as there:
        made = from_attribute(
            there,
            attribute,
            name=name,
            space=space,
            modalities=modalities,
            where=where,
            templates=templates,
            judges=judges or "item",
            least_items=least,
            popularity=popularity,
            top=top,
            description=description,
        )
    _saved(made.save(into))


@golden.command("show")
@golden_argument
@json_option
def show_(golden: Path, as_json: bool) -> None:
    """What a golden set holds."""
    from trichord.evaluation.evaluating import golden_facts
    from trichord.evaluation.golden import load
    from trichord.evaluation.slices import slices_of
    from trichord.evaluation.terminal import show_golden

    loaded = load(golden)
    if as_json:
        parts = {str(part): len(part.rows) for part in slices_of(loaded)}
        facts = {"description": loaded.description, "created": loaded.created, "slices": parts}
        print_json(golden_facts(loaded) | facts)
    else:
        show_golden(console(), loaded)


@golden.command("check")
@golden_argument
@where_options
def check_(
    golden: Path,
    store: str,
    space: str | None,
    server: str | None,
    token: str | None,
    tls_ca: str | None,
) -> None:
    """Read a golden set, compare it with its sha256, and look up in the store what it judges.
    Exits with 1 if something that is judged relevant is not stored."""
    from trichord.evaluation.golden import load
    from trichord.evaluation.presence import absent

    loaded = load(golden)
    click.echo(f"{loaded.label}: {len(loaded.queries)} queries, sha256 {loaded.sha256}")
    with reached(store, server, token, tls_ca, space) as there:
        missing = absent(there, loaded)
    for name, queries in list(missing.items())[:50]:
        click.echo(f"not stored: {name} (asked for by {', '.join(queries[:5])})")
    if missing:
        click.echo(f"{len(missing)} of what answers a query or asks it are not stored")
        click.get_current_context().exit(1)
    click.echo("all that answers a query is stored")


def _saved(golden: Any) -> None:
    click.echo(
        f"{golden.folder}: {len(golden.queries)} queries, "
        f"{sum(map(len, golden.judgements.values()))} judgements, sha256 {golden.sha256[:16]}"
    )
