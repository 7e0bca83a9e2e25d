"""What holds when a plan does not say: the results and questions of the platform's release plan template.

One rule: the template's own words. They go through the same reading as written ones.
"""

from __future__ import annotations

RESULTS = (
    "Number of unique users",
    "Any issues with VA handling/processing? yes/no",
    "Types of errors logged",
    "Any UX changes necessary based on the logs, or feedback on user challenges, or VA challenges? yes/no",
    "If yes, what",
)
POST_LAUNCH_QUESTIONS = (
    'How do the KPIs you gathered compare to your pre-launch definition(s) of "success"?',
    "What qualitative feedback have you gathered from users or other stakeholders, if any?",
    "Which of the assumptions you listed in your product outline were/were not validated?",
    "How might your product evolve now or in the future based on these results?",
)
