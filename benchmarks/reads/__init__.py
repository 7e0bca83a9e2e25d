"""`make bench-reads`: what a flag read costs, and how soon a change is seen, beside a bare server and Unleash."""
