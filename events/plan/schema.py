"""The release plan as data: what a written plan becomes once it is read.

One rule: these types are the *stored* form. A plan file may be shorter (a sentence where a struct is meant, a
range of hours where two numbers are meant, TBD where nothing is known yet); `reading.py` turns it into these.
Field names are the words of the plan file and the stored format at once: only ever added, never renamed.

A struct with `SHORTHAND` may be written as one string, which becomes that field.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from msgspec import Meta, Struct

News = Literal["phases", "go/no-go", "windows", "reminders"]
Reader = Literal["ofrep", "va.gov", "flipper", "in-process"]
ActorKind = Literal["account", "email", "cookie"]
QuestionKind = Literal["text", "yes/no", "number", "found/fixed"]  # "found/fixed": two counts, "3/2"
Then = Literal["", "halt", "roll back"]
Take = Literal["", "last", "sum", "largest", "smallest", "average"]

Seconds = Annotated[int, Meta(description="A span of time in seconds. Written as '30 minutes', '1 week', ...")]
Identifier = Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")]
Day = Annotated[str, Meta(pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$")]
ToggleKey = Annotated[str, Meta(pattern=r"^[A-Za-z0-9._-]{1,250}$")]


class _Part(Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """What all parts of a plan have in common: frozen, strict, defaults left out when stored."""

    SHORTHAND: ClassVar[str] = ""


class Gap(_Part, frozen=True):
    """A blank the plan's author has left: TBD, `xx lorem ipsum`, mm/dd/yy. Blocks `step` until it is filled."""

    path: str
    text: str
    step: str


class Quantity(_Part, frozen=True):
    """A number with its unit, in base units: "5s" and "5000 ms" are both (5.0, "s"); "5%" is (5.0, "%")."""

    value: float
    unit: str = ""


class Length(_Part, frozen=True):
    """How long a step takes: at least, and at most where the plan says so. 0 means: no minimum."""

    at_least: Seconds = 0
    at_most: Seconds | None = None


class Planned(_Part, frozen=True):
    """A planned date or range: the words as written, and the local days they name ("" when they name none)."""

    SHORTHAND: ClassVar[str] = "text"
    text: str
    first: str = ""
    last: str = ""


class Toggle(_Part, frozen=True):
    """One toggle of the group: its key as applications ask for it, and what it is for.

    The key stays the rollout's, also when a revision drops it, until the rollout is cancelled.
    """

    key: ToggleKey
    about: str = ""


class Item(_Part, frozen=True):
    """Something a person with the title `attested_by` ("": the release manager) confirms to be so."""

    SHORTHAND: ClassVar[str] = "text"
    text: str
    attested_by: str = ""
    id: str = ""


class Question(_Part, frozen=True):
    """A result to record or a question to answer. `must_be` is the only thing that makes an answer block.

    With `query` or `reading` it is measured when its step ends; `by` names the label whose values are listed
    ("timeout: 12, 5xx: 3").
    """

    SHORTHAND: ClassVar[str] = "text"
    text: str
    kind: QuestionKind = "text"
    answered_by: str = ""
    must_be: str = ""
    id: str = ""
    query: str = ""
    by: str = ""
    reading: str = ""


class Criterion(_Part, frozen=True):
    """A metric rule, or a KPI. With `query`: measured. With a limit: a person records the value. Else: judged.

    Limits are those a value must keep to *pass*; `stop_*` those that call for `then`. `per` is the sliding window
    (as written, and in seconds), `since` a fixed start. `trend` compares with `than` within `tolerance` percent.

    Measured: by `query` (PromQL; SPAN stands for the time since the step began), by `count` (a counter's selector:
    its growth in any window of `per`, exact or extrapolated), or by `reading` (the name under which CI or a job
    publishes it). A value counts only with `traffic_at_least` of `traffic`, from a sample at most `fresh` old.
    """

    SHORTHAND: ClassVar[str] = "text"
    name: str = ""
    text: str = ""
    below: Quantity | None = None
    above: Quantity | None = None
    at_most: Quantity | None = None
    at_least: Quantity | None = None
    between: tuple[Quantity, Quantity] | None = None
    expect: str = ""
    trend: Literal["", "no higher", "no lower", "higher", "lower"] = ""
    than: Quantity | None = None
    tolerance: Quantity | None = None
    per: str = ""
    per_seconds: Seconds = 0
    since: str = ""
    stop_above: Quantity | None = None
    stop_below: Quantity | None = None
    then: Then = ""
    query: str = ""
    count: str = ""
    exact: bool = True  # False: PromQL's increase(), which extrapolates
    reading: str = ""
    take: Take = ""  # of the readings in a window: default the last one
    traffic: str = ""  # a second query: is anybody there at all?
    traffic_at_least: Quantity | None = None
    fresh: Seconds = 300
    every: Seconds = 30
    breaches: str = ""  # "2 of 3": so many of the last measurements break the limit before it counts as failed
    breaches_needed: int = 1
    breaches_of: int = 1
    errors_in_a_row: int = 3  # more measurements without good data than this, one after another, are an error
    baseline: Seconds = 0  # `trend` compares with the same query over this span before the step began
    dashboard: str = ""
    before: str = ""
    judged_by: str = ""
    dry_run: bool = False
    asked: bool = False  # "yes, this really is the right way round": silences that question of `plan check`


class Watch(_Part, frozen=True):
    """An interval after the deploy in which nobody has the group on and the criteria are watched."""

    title: str = ""
    start: Seconds = 0
    until: Seconds = 86_400
    monitored_by: tuple[str, ...] = ()
    results: tuple[Question, ...] = ()
    criteria: tuple[str, ...] = ()


class GithubDeployment(_Part, frozen=True):
    """How GitHub tells of a service's deploys: which repository, environment ("": the plan's) and task."""

    SHORTHAND: ClassVar[str] = "repository"
    repository: str
    environment: str = ""
    task: str = "deploy"


class Deploy(_Part, frozen=True):
    """Phase code_deploy: what must be deployed where, and how long it is watched."""

    title: str = ""
    services: tuple[str, ...] = ()
    date: Planned | None = None
    how_limited: str = ""
    dashboards: dict[str, str] = {}
    criteria: tuple[str, ...] = ()
    before: tuple[Item, ...] = ()
    watch: tuple[Watch, ...] = (Watch(),)
    github: dict[str, GithubDeployment] = {}  # service -> its deployments on GitHub
    reminders: tuple[str, ...] = ()


class Sessions(_Part, frozen=True):
    """Meetings with testers: their length, and when the group goes on and off for the tester."""

    length: Length = Length(at_least=1800, at_most=1800)
    toggles_on: Seconds = 1800  # before the meeting begins
    toggles_off: Seconds = 0  # after it ends
    at_least: int = 1


class Testing(_Part, frozen=True):
    """Phase veteran_testing. `access`: inside session windows, for the whole phase, or elsewhere (staging)."""

    title: str = ""
    recruiting: str = ""
    dates: Planned | None = None
    environment: str = ""
    access: Literal["sessions", "whole phase"] = "sessions"
    sessions: Sessions = Sessions()
    testers: int = 0  # how many different testers, at least
    users: str = ""  # roughly how many; never gates
    workflows: tuple[str, ...] = ()
    each_workflow: int = 1  # how often each workflow must have been done
    length: Length = Length()
    criteria: tuple[str, ...] = ()
    before: tuple[Item, ...] = ()
    results: tuple[Question, ...] = ()
    monitored_by: tuple[str, ...] = ()
    reminders: tuple[str, ...] = ()
    waived: str = ""  # the reason why there is no testing; "" when there is


class Group(_Part, frozen=True):
    """A named audience: users whose context attribute has one of the values, or a list of user ids."""

    attribute: str = ""
    any_of: tuple[str, ...] = ()
    users: tuple[str, ...] = ()


class Stage(_Part, frozen=True):
    """One step of exposure in cutover: everyone, a percentage, a group, or a percentage of a group.

    `automatic`: the clock enters it, on no go of anybody who adopted or revised the plan.
    """

    SHORTHAND: ClassVar[str] = "to"
    to: str = ""  # the words as written; the three fields below are what they mean
    title: str = ""
    group: str = ""
    percentage: float | None = None  # None: a group as a whole, or everyone
    up_to: float | None = None  # the end of the stage's range ("5% to 25%")
    dates: Planned | None = None
    length: Length | None = None
    users: str = ""  # expected; never gates
    criteria: tuple[str, ...] = ()
    before: tuple[Item, ...] = ()
    results: tuple[Question, ...] = ()
    automatic: bool = False
    reminders: tuple[str, ...] = ()
    how_limited: str = ""
    monitored_by: tuple[str, ...] = ()


class RolloutPlan(_Part, frozen=True):
    """Phase cutover. `length`, `criteria` and `results` hold for every stage; a stage adds to them."""

    title: str = ""
    dates: Planned | None = None
    how_limited: str = ""
    criteria: tuple[str, ...] = ()
    dashboards: dict[str, str] = {}
    length: Length = Length()
    results: tuple[Question, ...] = ()
    before: tuple[Item, ...] = ()
    monitored_by: tuple[str, ...] = ()
    stages: tuple[Stage, ...] = (Stage(to="everyone"),)
    reminders: tuple[str, ...] = ()


class After(_Part, frozen=True):
    """One set of results: `text` as written ("1 week"), `seconds` after the first 100%."""

    SHORTHAND: ClassVar[str] = "text"
    text: str
    seconds: Seconds


class Experiment(_Part, frozen=True):
    """An experiment's end: the clock asks keep / change / remove at that time; it switches nothing."""

    SHORTHAND: ClassVar[str] = "ends_after"
    ends_after: Seconds
    question: str = "Keep, change or remove?"


class GoLive(_Part, frozen=True):
    """Phase go_live: KPIs, and what must be recorded how long after the first 100%."""

    title: str = ""
    date: Planned | None = None
    kpis: tuple[Criterion, ...] = ()
    results_after: tuple[After, ...] = (
        After(text="1 week", seconds=604_800),
        After(text="1 month", seconds=2_592_000),
    )
    results: tuple[Question, ...] = ()
    before: tuple[Item, ...] = ()
    criteria: tuple[str, ...] = ()
    experiment: Experiment | None = None
    reminders: tuple[str, ...] = ()
    dashboards: dict[str, str] = {}
    monitored_by: tuple[str, ...] = ()


class GoNoGo(_Part, frozen=True):
    """Who decides go or no-go, before which steps, and what must be answered first.

    Once anybody may have the toggles on, a revision may ask for more here, never for less.
    """

    template: str = ""
    decided_by: tuple[str, ...] = ()
    delegates: dict[str, tuple[str, ...]] = {}  # title -> titles or subject ids that may decide for it
    before: tuple[str, ...] = ("first stage",)  # "testing", "first stage", "every stage", "go live"
    questions: tuple[Question, ...] = ()
    valid_for: Seconds = 0  # 0: a go does not expire by itself


class IssueRoute(_Part, frozen=True):
    """Where problems are reported: the labels of a GitHub issue, the channel it is posted in, and how.

    `announce`: what else is told in the channel, without a mention: no problem, but good to know.
    """

    purpose: str = ""  # written `for:`
    github_labels: tuple[str, ...] = ()
    channel: str = ""
    title: str = ""
    notify: str = ""
    announce: tuple[News, ...] = ()


class Rollback(_Part, frozen=True):
    """What would make us roll back, and the checklist for *after* the toggles are off. Neither delays it."""

    triggers: tuple[str, ...] = ()
    steps: tuple[str, ...] = ()
    decided_by: tuple[str, ...] = ()


class Freeze(_Part, frozen=True):
    """A span of local days (both included) in which nothing is promoted."""

    first: Day
    last: Day
    why: str = ""


class Plan(_Part, frozen=True):
    """A release plan. Source of its shape: the VA.gov release plan template and 18 filled-in plans."""

    title: str
    id: str = ""
    draft: bool = False
    time_zone: str = "UTC"
    environment: str = "production"
    readers: tuple[Reader, ...] = ("ofrep", "va.gov", "in-process")
    actor: ActorKind = "account"
    switch: Literal["cutover", "elsewhere"] = "cutover"
    toggles: tuple[Toggle, ...] = ()
    why_together: str = ""
    after: tuple[str, ...] = ()
    release_managers: tuple[str, ...] = ()
    on_call: tuple[str, ...] = ()
    prerequisites: tuple[Item, ...] = ()
    go_no_go: GoNoGo = GoNoGo()
    groups: dict[str, Group] = {}
    criteria: dict[str, Criterion] = {}
    deploy: Deploy = Deploy()
    testing: Testing = Testing()
    rollout: RolloutPlan = RolloutPlan()
    go_live: GoLive = GoLive()
    post_launch_questions: tuple[Question, ...] = ()
    report_issues: tuple[IssueRoute, ...] = ()
    rollback: Rollback = Rollback()
    before_release_again: tuple[Item, ...] = ()
    freezes: tuple[Freeze, ...] = ()
    reminders: tuple[str, ...] = ()
    tasks: tuple[str, ...] = ()  # clean-up after close
    links: dict[str, str] = {}
    gaps: tuple[Gap, ...] = ()  # found while reading; never written by hand
