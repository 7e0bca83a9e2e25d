"""A message as GitHub and Slack want it, and as a person pastes it.

One rule: what people wrote is text and stays text: it mentions nobody, links nowhere and closes no comment by itself.
"""

from __future__ import annotations

import re

from projections.report.document import web_address
from projections.report.markdown import escaped
from services.herald.news import QUERY, Line, Message

BODY = 60_000  # characters; GitHub takes 65,536
POST = 3_500  # characters; Slack cuts at 4,000 where it shows them
_EVERYBODY = {"@here": "<!here>", "@channel": "<!channel>", "@everyone": "<!everyone>"}
_AT = re.compile(r"@(?=\w)")
_QUIET = "@\u200b"  # a zero-width space behind it: reads the same, calls nobody
_REFERS = re.compile(r"(&#64;(?=\w)|\\#(?=\d)|\bGH-(?=\d))")  # GitHub sees these once the Markdown is read
_GROUP_ID = re.compile(r"S[A-Z0-9]{6,}")


def marker(cause: str) -> str:
    """What tells an issue's cause to the herald, and nothing to people: a comment that GitHub does not show."""
    return f"<!-- cutover:{cause} -->"


def title(message: Message) -> str:
    """An issue's title; GitHub takes 256 characters."""
    return _AT.sub(_QUIET, message.title)[:250]


def body(message: Message) -> str:
    """An issue's body in Markdown, its marker at the end."""
    lines = "\n".join(_markdown(line) for line in message.lines)
    link = f"\n\n[The record in Cutover]({message.link})" if message.link else ""
    return f"{_cut(lines, BODY)}{link}\n\n{marker(message.cause)}\n"


def _markdown(line: Line) -> str:
    label, text = line
    safe = _fenced(text) if label == QUERY else _literal(text)
    return f"- **{label}**: {safe}" if label else f"{safe}\n"


def _literal(text: str) -> str:
    """Markdown that reads as this text; a link only where it is an address and nothing else."""
    if address := web_address(text):
        return f"<{address}>"
    return "\n".join(_REFERS.sub("\\1\u200b", escaped(line)) for line in text.splitlines())


def _fenced(code: str) -> str:
    """Code in one line, between more backticks than stand anywhere in it; never with a marker of ours in it."""
    line = " ".join(code.replace("<!--", "<! --").split())
    fence = "`" * (max(map(len, re.findall("`+", line)), default=0) + 1)
    edge = " " if line.startswith("`") or line.endswith("`") else ""
    return f"{fence}{edge}{line}{edge}{fence}"


def post(message: Message, issue: str = "") -> str:
    """A Slack message: the title first; a problem mentions whom the plan names, and carries the issue's link."""
    rows = [_escaped(message.title)]
    if message.kind == "issue" and message.route.notify:
        rows[0] += f" {mention(message.route.notify)}"
    if issue:
        rows.append(f"GitHub issue: {issue}")
    rows.append(_cut("\n".join(_row(line) for line in message.lines), POST))
    if message.link:
        rows.append(f"<{message.link}|The record in Cutover>")
    return "\n".join(rows)


def mention(notify: str) -> str:
    """ "@vaos-fe-all" as it is (`link_names` makes it a mention), @here and the like, or a user group by its id."""
    name = notify.strip()
    if name in _EVERYBODY:
        return _EVERYBODY[name]
    if _GROUP_ID.fullmatch(name.removeprefix("@")):
        return f"<!subteam^{name.removeprefix('@')}>"
    return name.replace("<", "").replace(">", "")


def _row(line: Line) -> str:
    label, text = line
    said = f"`{_escaped(text)}`" if label == QUERY else _escaped(text)
    return f"{label}: {said}" if label else said


def _escaped(text: str) -> str:
    """Slack's own escapes: without them `<!channel>` in somebody's text would call everybody."""
    return _AT.sub(_QUIET, text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;"))


def pasted(message: Message, channel: str, issue: str = "") -> str:
    """What a person pastes by hand where the herald could not: plain text."""
    rows = [message.title]
    if channel == "github":
        rows.append(f"Labels: {', '.join(message.route.github_labels)}")
    else:
        rows[0] += f" {message.route.notify}" if message.kind == "issue" and message.route.notify else ""
        rows.append(f"Channel: {message.route.channel}")
    rows += [f"GitHub issue: {issue}"] if issue else []
    rows += [f"{label}: {text}" if label else text for label, text in message.lines]
    rows += [f"The record in Cutover: {message.link}"] if message.link else []
    return _cut("\n".join(rows), POST)


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most - 4]} ..."
