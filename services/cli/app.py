"""The root of `cutover`: what there is, and who may ask.

One rule: commands are defined in their own modules; here they are only put together.
"""

from __future__ import annotations

import sys
from io import TextIOWrapper

import typer

from services.cli.asking import FOUND_BY
from services.cli.audit import add_audit
from services.cli.criteria import criteria
from services.cli.events import add_events
from services.cli.explaining import add_explaining
from services.cli.notary import add_notary
from services.cli.plans import plans
from services.cli.reads import add_reads
from services.cli.report import add_report
from services.cli.running import add_running
from services.cli.screen import EXIT_CODES, Ending
from services.cli.showing import add_showing
from services.cli.signals import add_signals
from services.cli.testers import add_sessions, add_tester_key, testers
from services.cli.tokens import tokens
from services.cli.verbs import add_verbs
from services.cli.wording import PLANS, RUNNING, SESSIONS

app = typer.Typer(
    cls=Ending,
    name="cutover",
    help="Carry out a release plan: every step, every decision, on the record.",
    epilog=f"{FOUND_BY}\n\n{EXIT_CODES}",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)


@app.callback()
def root() -> None:
    """Carry out a release plan: every step, every decision, on the record."""


app.add_typer(plans, name="plan", rich_help_panel=PLANS)
app.add_typer(criteria, name="criteria", rich_help_panel=PLANS)
add_reads(app)
add_audit(app)
add_events(app)
add_explaining(app)
add_signals(app)
add_verbs(app)
add_showing(app)
add_running(app)
add_notary(app)
add_sessions(app)
add_report(app)
add_tester_key(app)
app.add_typer(testers, name="testers", rich_help_panel=SESSIONS)
app.add_typer(tokens, name="token", rich_help_panel=RUNNING)


def main() -> None:
    """The console script. A character that the terminal cannot show becomes "?", instead of ending everything."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="replace")
    app(prog_name="cutover")
