"""``cardproof speed``: time the networks of a site's cards, one after another in a separate process."""

from __future__ import annotations

import logging
import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from msgspec.structs import replace

from cardproof.commands.options import CONFIG, JSON, PATH, ZOO, epilog, site_settings
from cardproof.commands.output import progress_bar, protect_inputs
from cardproof.core.errors import InputError, did_you_mean
from cardproof.core.journal import replace_files
from cardproof.core.paths import show_path
from cardproof.core.settings import Settings
from cardproof.core.terminal import write_data
from cardproof.core.types import Need
from cardproof.measure.engines.local import start_worker, terminating, usable_cores
from cardproof.measure.speeds import (
    Conditions,
    Speed,
    Speeds,
    current_conditions,
    dump_speeds,
    load_speeds,
    time_network,
)
from cardproof.plan.options import Progress
from cardproof.plan.recall import digests_of, plan
from cardproof.render.site_build import read_site
from cardproof.report.terminal import new_console
from cardproof.zoos.name_tables import load_names
from res2next.commands import ENGINE

if TYPE_CHECKING:
    from rich.table import Table


@click.command(
    "speed",
    epilog=epilog(
        "cardproof speed",
        "cardproof speed --engine openvino --out docs/data/speed-openvino.json",
        "cardproof speed --only resnet50 --device cuda --out docs/data/speed-cuda.json",
    ),
)
@click.option("--only", metavar="MODEL", multiple=True, help="Time only this model. May be repeated.")
@click.option("--device", type=click.Choice(["cpu", "cuda"]), default="cpu", show_default=True, help="Device to time.")
@click.option("--batch", type=click.IntRange(1), default=16, show_default=True, help="Images in one forward pass.")
@click.option("--threads", type=click.IntRange(1), help="Threads of the processor; one per core by default.")
@ENGINE
@click.option(
    "--seconds", type=click.FloatRange(0, 600), default=3.0, show_default=True, help="Minimum time per model."
)
@click.option("--again", is_flag=True, help="Time all models again, including those with valid speeds.")
@click.option("--out", type=PATH, help="File of speeds; by default that of the setting 'speed'.")
@ZOO
@CONFIG
@JSON
@click.option("--quiet", "-q", is_flag=True, help="Print errors only.")
def speed_command(
    out: Path | None, zoo: str | None, config: Path | None, as_json: bool, quiet: bool, **options: Any
) -> int:
    """Time the networks of a site, for its pages to show.

    Forward passes are timed; run nothing else meanwhile. A model is timed again only if its network changed; all
    speeds of a file are measured on one processor in the same way.
    """
    settings = site_settings(config, zoo)
    path = out or (settings.path(settings.speed) if settings.speed else None)
    if path is None:
        raise click.UsageError("name the file: --out speed-cpu.json, or the setting 'speed' in mkdocs.yml")
    if out:  # the file of the setting may lie beside the evidence, and is refused if it holds anything but speeds
        protect_inputs([("--out", out)], [], replace(settings, speed=None), config)
    errors: list[str] = []
    with progress_bar(quiet or as_json) as progress:
        speeds = time_models(settings, path, errors, progress=progress, **options)
    for error in errors:
        click.secho(f"not timed: {error}", err=True, fg="red")
    if as_json:
        write_data(dump_speeds(speeds))
    elif not quiet:
        new_console().print(speed_table(speeds))
    return 1 if errors else 0


def time_models(
    settings: Settings,
    path: Path,
    errors: list[str],
    *,
    only: tuple[str, ...],
    device: str,
    threads: int | None,
    batch: int,
    engine: str,
    seconds: float,
    again: bool,
    progress: Progress | None,
) -> Speeds:
    """Time the models of the cards, or of ``only``, that have no valid speed; with ``again`` all. Return all speeds.

    The file is written after each model. Models that cannot be built or run are left out, with a line in ``errors``.
    Raises InputError if the file's speeds were measured under other conditions and not all are measured again, or if a
    model, the device or the engine does not exist.
    """
    networks = network_digests(settings)
    known = {need.model for need in networks}
    if unknown := sorted(set(only) - known):
        raise InputError(f"no card defines the model {', '.join(unknown)}{did_you_mean(unknown[0], known)}")
    stored = load_speeds(path)
    with terminating(ProcessPoolExecutor(1, multiprocessing.get_context("spawn"), start_worker)) as pool:
        try:
            here = pool.submit(_conditions, device, threads or usable_cores(), batch, engine).result()
        except ValueError as error:
            raise InputError(str(error)) from None
        if stored and (other := here.differences(stored.conditions)):
            if only or not again:
                message = f"the speeds in {show_path(path)} were measured under other conditions ({other})"
                raise InputError(f"{message}: they cannot be compared with new ones; --again measures all of them here")
            stored = None
        speeds = stored or Speeds(here)
        chosen = [need for need in networks if not only or need.model in only]
        missing = [need for need in chosen if again or not speeds.of(need.model, networks[need])]
        for done, need in enumerate(missing):
            if progress:
                progress(done, len(missing), need.model)
            found = pool.submit(_time, need, settings.zoo or "", networks[need], here, seconds).result()
            if isinstance(found, Speed):
                speeds = speeds.with_speed(need.model, found)
                replace_files({path: dump_speeds(speeds)})
            else:
                errors.append(f"{need.model}: {found}")
    if speeds.models.keys() - known:
        speeds = Speeds(speeds.conditions, {name: speed for name, speed in speeds.models.items() if name in known})
        replace_files({path: dump_speeds(speeds)})
    return speeds


def network_digests(settings: Settings) -> dict[Need, str]:
    """Return the need of each model of a site's cards, with the digest of its network.

    Raises InputError as :func:`read_site` does and if no zoo is set; ZooError if the zoo is missing.
    """
    if settings.zoo is None:
        raise InputError("no zoo is set: name one in mkdocs.yml (zoo: timm) or with --zoo")
    reading, _ = read_site(settings)
    needs = {need.model: need for need in plan(reading, load_names(settings)).values()}
    digests = digests_of(needs.values(), settings.zoo)
    return {need: digests[name] for name, need in sorted(needs.items())}


def speed_table(speeds: Speeds) -> Table:
    """Return a table for the terminal, the fastest model first."""
    from rich.table import Table

    here = speeds.conditions
    how = f"{here.computed_by} in {here.precision}"
    title = f"{here.processor}, {here.threads} threads, {how}, {here.batch} images at a time"
    table = Table(box=None, pad_edge=False, header_style="bold", title=title, title_justify="left", title_style="dim")
    table.add_column("model")
    for name in ("image size", "ms per image", "quartiles", "images/s"):
        table.add_column(name, justify="right")
    for name, speed in sorted(speeds.models.items(), key=lambda item: item[1].milliseconds):
        low, high = speed.quartiles
        size = "x".join(str(side) for side in speed.size[1:])
        rate = 1000 / speed.milliseconds
        table.add_row(name, size, f"{speed.milliseconds:.4g}", f"{low:.4g} to {high:.4g}", f"{rate:.1f}")
    return table


def _conditions(device: str, threads: int, batch: int, engine: str) -> Conditions:
    # on a machine with CUDA's compiler and no GPU, torch's timer warns that it finds none
    logging.getLogger("torch.utils.cpp_extension").setLevel(logging.ERROR)
    return current_conditions(device, threads, batch, engine)


def _time(need: Need, zoo: str, network: str, conditions: Conditions, seconds: float) -> Speed | str:
    try:
        return time_network(need, zoo, network, conditions, seconds)
    except Exception as error:  # a zoo is foreign code
        return f"{type(error).__name__}: {error}"
