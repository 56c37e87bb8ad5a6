"""`report`: the Allure report of a run."""

from __future__ import annotations

import contextlib
import webbrowser
from pathlib import Path

import click


@click.command()
@click.argument("results", type=click.Path(path_type=Path, file_okay=False), default=Path("results"))
@click.option(
    "--output",
    type=click.Path(path_type=Path, file_okay=False),
    help="where the report goes (default: `report` in RESULTS); an older report there is replaced",
)
@click.option("--open", "opened", is_flag=True, help="show it in the browser; Ctrl-C ends that")
def report(results: Path, output: Path | None, opened: bool) -> None:
    """Render the Allure report of the last run in the folder RESULTS, with the trend of the runs before it.

    Needs Node.js and npm's `allure`, and says how to install them where they are missing.
    """
    from bench.report.render import render
    from bench.report.serve import server_of, url_of

    page = render(results, output)
    click.echo(f"report: {page}")
    if not opened:
        click.echo(f"to see it: bench report {results} --open (a browser shows it only from a server)")
        return
    with server_of(page.parent) as server, contextlib.suppress(KeyboardInterrupt):
        click.echo(f"{url_of(server)} (Ctrl-C ends it)")
        webbrowser.open(url_of(server))
        server.serve_forever()
