"""The help of every verb: what its fields mean, where it stands in the list, and an example that works.

One rule: a field or a command added to `rollout/commands.py` needs its words here; a test says which are missing.
"""

from __future__ import annotations

FIELDS = {
    "service": "The service that was deployed, as the plan names it.",
    "version": "What was deployed: a tag, a commit or a build number.",
    "environment": "Where it was deployed.",
    "decision": "What was decided. pause also halts; no_go and pivot void an earlier go.",
    "step": "The step it is for; by default the one it can be for now.",
    "title": "The title decided for; by default your own.",
    "valid_for": 'How long the decision stands, like "48 hours"; by default what the plan says.',
    "to": 'Where to: a stage\'s title, "stage-2", "everyone" or "25%".',
    "outcome": "How it ended.",
    "item": "What it is about: its id, or its text as the plan has it.",
    "session": "A name for the session, unique in this rollout.",
    "tester": "The tester's user id; it is kept outside the log.",
    "at": "When, like 2022-08-02T10:00; without an offset, local to the plan's time zone.",
    "length": 'How long, like "30 minutes"; by default the longest that the plan allows.',
    "workflows": (
        'A workflow and how it went; repeat for each. "View upcoming...=done,1.2s,0.9s" (load times), '
        '"Cancel...=failed", or "Cancel...=failed,waived: reason" where the failure does not count. '
        'A name may be cut short with "..." while it is clear which is meant.'
    ),
    "comments": "What the tester said; it is kept encrypted.",
    "value": 'The value, like "7", "3.2s" or "yes".',
    "criterion": "The criterion's name in the plan.",
    "verdict": "The judgement, for a criterion without a limit.",
    "of": 'What to freeze: a step, or a set of results such as "1 week".',
    "question": "The question: its id, or its text as the plan has it.",
    "answer": "The answer.",
    "toggle": "The toggle's key.",
    "text": "What to write, or what is wrong.",
    "workflow": "The workflow, or the beginning of its text.",
    "purpose": "For whom: the beginning of a route's `for` in the plan; by default every route.",
    "kind": 'What kind of evidence: "tests", "pipeline", "incident", ...',
    "about": "What it says something of: a test run, a pipeline's run, an incident.",
    "source": "Who says so: a system or a link.",
    "link": "Where it can be looked at.",
    "chain": "The chain that ties together what one change led to.",
    "plan": "The plan file, YAML or JSON; - reads it from stdin.",
}

PLANS = "Plans"
READING = "See where it stands"
MOVING = "Move forward"
STOPPING = "Stop and step back"
SAYING = "Confirm, decide, report"
SESSIONS = "Testing sessions"
RESULTS = "Results and answers"
RUNNING = "Run the service"

_ID = "vaos-service-integration"
VERBS: dict[str, tuple[str, str]] = {
    "adopt": (PLANS, "plans/vaos-service-integration.yaml"),
    "revise_plan": (PLANS, f'{_ID} plans/vaos-service-integration.yaml --reason "OCC set the dates"'),
    "report_deploy": (MOVING, f"{_ID} vets-api v2022.07.29 --evidence https://ci.example.gov/runs/4711"),
    "start_testing": (MOVING, _ID),
    "cut_over": (MOVING, f"{_ID} --dry-run"),
    "advance": (MOVING, f"{_ID} --to 25%"),
    "go_live": (MOVING, f"{_ID} --seen 48"),
    "close": (MOVING, f'{_ID} keep --reason "All results are in"'),
    "halt": (STOPPING, f'{_ID} --reason "Errors are rising since 14:05"'),
    "resume": (STOPPING, f'{_ID} --reason "The errors came from a network outage"'),
    "go_back": (STOPPING, f'{_ID} 5% --reason "Latency doubled at 25%"'),
    "roll_back": (STOPPING, f'{_ID} --reason "Requests reach the wrong system"'),
    "cancel": (STOPPING, f'{_ID} --reason "Replaced by another release"'),
    "attest": (SAYING, f'{_ID} "Business Stakeholders approved Veteran-facing launch"'),
    "withdraw": (SAYING, f'{_ID} hsrm-is-live --reason "HSRM is down for maintenance"'),
    "decide": (SAYING, f'{_ID} go --title "VAOS Product Owner" --evidence https://example.gov/minutes/12'),
    "note": (SAYING, f'{_ID} "The call centre has been told"'),
    "schedule_session": (SESSIONS, f"{_ID} veteran-1 user-3141 --at 2022-08-02T10:00"),
    "move_session": (SESSIONS, f"{_ID} veteran-1 --at 2022-08-03T10:00"),
    "cancel_session": (SESSIONS, f'{_ID} veteran-1 --reason "The Veteran is ill"'),
    "open_window": (SESSIONS, f"{_ID} veteran-1"),
    "close_window": (SESSIONS, f"{_ID} veteran-1"),
    "record_session": (
        SESSIONS,
        f'{_ID} veteran-1 --workflow "View upcoming...=done,1.2s,0.9s" --workflow "Cancel...=failed"',
    ),
    "waive_workflow": (
        SESSIONS,
        f'{_ID} veteran-1 "Cancel appointment" --reason "Cancelled by phone, known since May"',
    ),
    "report_issue": (SAYING, f'{_ID} "Requests from Ohio are listed twice" --for "front end"'),
    "record_result": (RESULTS, f'{_ID} "Number of unique users" 10240 --step "1 week"'),
    "record_verdict": (RESULTS, f'{_ID} "Sum of Errors" --value 7'),
    "record_evidence": (RESULTS, f"{_ID} tests smoke-suite-4711 --outcome success --link https://ci.example.gov/4711"),
    "take_snapshot": (RESULTS, f'{_ID} "1 week"'),
    "answer_question": (
        RESULTS,
        f'{_ID} "What qualitative feedback have you gathered from users?" "Calls about requests went down"',
    ),
    "retire_toggle": (RESULTS, f"{_ID} va_online_scheduling_facilities_service_v2"),
}
"""Each verb's panel in the help, and its example's arguments."""
