"""All observed cases, in the order in which they are run."""

from .accepts import ACCEPTS
from .actions import ACTIONS
from .backup_lists import BACKUP_LISTS
from .backup_searches import BACKUP_SEARCHES
from .backup_writes import BACKUP_WRITES
from .case import Case
from .clients import CLIENTS
from .job_changes import JOB_CHANGES, LAST
from .job_posts import JOB_POSTS
from .paths import PATHS, TOKENS
from .sessions import SESSIONS

CASES: tuple[Case, ...] = (
    *PATHS,
    *TOKENS,
    *CLIENTS,
    *BACKUP_LISTS,
    *BACKUP_SEARCHES,
    *BACKUP_WRITES,
    *ACCEPTS,
    *ACTIONS,
    *JOB_POSTS,
    *JOB_CHANGES,
    *SESSIONS,
    *LAST,
)

OBSERVED: tuple[Case, ...] = tuple(case for case in CASES if case.observed)
