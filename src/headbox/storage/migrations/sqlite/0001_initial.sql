-- Tasks that are not complete. Instants and spans are microseconds; payloads are described in storage/payload.py.
-- Checks list two values at a time: of three, SQLite makes a table for each row that it checks.
CREATE TABLE headbox_tasks (
    id TEXT NOT NULL PRIMARY KEY,
    run INTEGER NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('waiting', 'running') OR state IN ('reset', 'suspended')),
    queue TEXT NOT NULL,
    priority INTEGER NOT NULL CHECK (priority BETWEEN -9 AND 9),
    due_time INTEGER NOT NULL,
    callable TEXT NOT NULL,
    method_name TEXT NOT NULL,
    class_name TEXT,
    callable_payload BLOB,
    args BLOB,
    kwargs BLOB,
    public_args TEXT,
    public_kwargs TEXT,
    scheduler TEXT NOT NULL CHECK (scheduler IN ('immediate', 'at') OR scheduler IN ('interval', 'cron')),
    schedule TEXT,
    schedule_name TEXT,
    definition TEXT,
    declared_by TEXT,
    scheduled_time INTEGER,
    runs_left INTEGER,
    timeout INTEGER,
    attempts INTEGER NOT NULL CHECK (attempts >= 1),
    failure_threshold INTEGER,
    schedule_threshold INTEGER,
    weight INTEGER NOT NULL CHECK (weight >= 0),
    is_async INTEGER NOT NULL,
    job_id TEXT,
    owner TEXT,
    unique_key TEXT,
    progress_arg TEXT,
    progress_callback BLOB,
    enqueue_time INTEGER NOT NULL,
    start_time INTEGER,
    finish_time INTEGER,
    consecutive_failures INTEGER NOT NULL DEFAULT 0,
    losses INTEGER NOT NULL DEFAULT 0,
    cancel_attempts INTEGER NOT NULL DEFAULT 0,
    cancel_asked INTEGER NOT NULL DEFAULT 0,
    suspend_asked INTEGER NOT NULL DEFAULT 0,
    removed INTEGER NOT NULL DEFAULT 0,
    held INTEGER NOT NULL DEFAULT 0 CHECK (held >= 0),
    worker TEXT,
    snapshot_id TEXT,
    claimed_state TEXT CHECK (claimed_state IN ('waiting', 'reset')),
    progress TEXT,
    result BLOB,
    public_result TEXT,
    exception TEXT,
    traceback TEXT,
    final INTEGER NOT NULL DEFAULT 0,
    CHECK ((state = 'running') = (worker IS NOT NULL)),
    CHECK (snapshot_id IS NULL OR state = 'running')
) STRICT;

-- The claim's order within each level: (queue, is_async, priority).
CREATE INDEX headbox_tasks_ready ON headbox_tasks (queue, is_async, priority DESC, due_time, id)
    WHERE state IN ('waiting', 'reset') AND held = 0;
-- What a worker holds: rescue, and the list of running tasks.
CREATE INDEX headbox_tasks_running ON headbox_tasks (worker) WHERE state = 'running';
CREATE INDEX headbox_tasks_canceling ON headbox_tasks (worker) WHERE state = 'running' AND cancel_asked = 1;
CREATE INDEX headbox_tasks_job ON headbox_tasks (job_id, id) WHERE job_id IS NOT NULL;
CREATE INDEX headbox_tasks_recurring ON headbox_tasks (run) WHERE scheduler IN ('interval', 'cron');
CREATE INDEX headbox_tasks_schedules ON headbox_tasks (id) WHERE scheduler IN ('interval', 'cron');
CREATE UNIQUE INDEX headbox_tasks_unique ON headbox_tasks (unique_key) WHERE unique_key IS NOT NULL;
CREATE UNIQUE INDEX headbox_tasks_schedule ON headbox_tasks (schedule_name) WHERE schedule_name IS NOT NULL;

-- Every run that has ended, with all that rebuilds its task. `final`: the task's last.
CREATE TABLE headbox_task_history (
    id TEXT NOT NULL,
    run INTEGER NOT NULL,
    state TEXT NOT NULL
        CHECK (state IN ('finished', 'error') OR state IN ('timed_out', 'canceled') OR state = 'reset'),
    queue TEXT NOT NULL,
    priority INTEGER NOT NULL,
    due_time INTEGER NOT NULL,
    callable TEXT NOT NULL,
    method_name TEXT NOT NULL,
    class_name TEXT,
    callable_payload BLOB,
    args BLOB,
    kwargs BLOB,
    public_args TEXT,
    public_kwargs TEXT,
    scheduler TEXT NOT NULL,
    schedule TEXT,
    schedule_name TEXT,
    definition TEXT,
    declared_by TEXT,
    scheduled_time INTEGER,
    runs_left INTEGER,
    timeout INTEGER,
    attempts INTEGER NOT NULL,
    failure_threshold INTEGER,
    schedule_threshold INTEGER,
    weight INTEGER NOT NULL,
    is_async INTEGER NOT NULL,
    job_id TEXT,
    owner TEXT,
    unique_key TEXT,
    progress_arg TEXT,
    progress_callback BLOB,
    enqueue_time INTEGER NOT NULL,
    start_time INTEGER,
    finish_time INTEGER NOT NULL,
    consecutive_failures INTEGER NOT NULL,
    losses INTEGER NOT NULL,
    cancel_attempts INTEGER NOT NULL,
    cancel_asked INTEGER NOT NULL DEFAULT 0,
    suspend_asked INTEGER NOT NULL DEFAULT 0,
    removed INTEGER NOT NULL DEFAULT 0,
    held INTEGER NOT NULL DEFAULT 0,
    worker TEXT,
    snapshot_id TEXT,
    claimed_state TEXT,
    progress TEXT,
    result BLOB,
    public_result TEXT,
    exception TEXT,
    traceback TEXT,
    final INTEGER NOT NULL,
    PRIMARY KEY (id, run)
) STRICT;

CREATE INDEX headbox_task_history_finish ON headbox_task_history (finish_time, id, run);
-- How runs ended that did not just finish: few of very many.
CREATE INDEX headbox_task_history_outcome ON headbox_task_history (state, finish_time, id, run) WHERE state <> 'finished';
CREATE INDEX headbox_task_history_job ON headbox_task_history (job_id, finish_time) WHERE job_id IS NOT NULL;

-- Why a task's `held` is not 0: one row a reason.
CREATE TABLE headbox_holds (
    reason TEXT NOT NULL,
    task_id TEXT NOT NULL,
    PRIMARY KEY (reason, task_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX headbox_holds_task ON headbox_holds (task_id);

-- Queues of which nothing is claimed until they are resumed.
CREATE TABLE headbox_suspended_queues (
    queue TEXT NOT NULL PRIMARY KEY,
    suspend_time INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- What transactions have changed in how many tasks there are, until it is folded into the counts: rows are only ever
-- added, so nobody waits for them. `was`, `became`: live states; `counted`: what has happened (enqueued, how runs ended);
-- `task_id`: nothing else tells that this task has changed.
CREATE TABLE headbox_changes (
    id INTEGER NOT NULL PRIMARY KEY,
    time INTEGER NOT NULL,
    queue TEXT NOT NULL,
    was TEXT,
    became TEXT,
    counted TEXT,
    number INTEGER NOT NULL,
    task_id TEXT
) STRICT;

-- How many tasks of a queue are in a live state; those of `headbox_changes` come to it.
CREATE TABLE headbox_counts (
    queue TEXT NOT NULL,
    state TEXT NOT NULL,
    number INTEGER NOT NULL,
    PRIMARY KEY (queue, state)
) STRICT, WITHOUT ROWID;

-- How often something has happened within a period of so many microseconds (0: ever).
CREATE TABLE headbox_periods (
    span INTEGER NOT NULL,
    start_time INTEGER NOT NULL,
    counted TEXT NOT NULL,
    number INTEGER NOT NULL,
    PRIMARY KEY (span, start_time, counted)
) STRICT, WITHOUT ROWID;

CREATE TABLE headbox_workers (
    id TEXT NOT NULL PRIMARY KEY,
    host TEXT NOT NULL,
    boot_id TEXT NOT NULL,
    pid INTEGER NOT NULL,
    process_start INTEGER NOT NULL,
    app TEXT,
    queues TEXT NOT NULL,
    concurrency INTEGER NOT NULL,
    start_time INTEGER NOT NULL,
    heartbeat_time INTEGER NOT NULL,
    lease INTEGER NOT NULL,
    names TEXT NOT NULL,
    declares TEXT NOT NULL
) STRICT;

-- What workers have published: kept when they stop, so that tasks can be enqueued while none runs.
CREATE TABLE headbox_callables (
    name TEXT NOT NULL PRIMARY KEY,
    publication TEXT NOT NULL,
    publish_time INTEGER NOT NULL
) STRICT;

CREATE TABLE headbox_users (
    name TEXT NOT NULL PRIMARY KEY,
    password_hash TEXT NOT NULL,
    roles TEXT NOT NULL,
    create_time INTEGER NOT NULL
) STRICT;

CREATE TABLE headbox_tokens (
    id TEXT NOT NULL PRIMARY KEY,
    user_name TEXT NOT NULL REFERENCES headbox_users (name) ON DELETE CASCADE,
    name TEXT NOT NULL,
    secret_hash BLOB NOT NULL UNIQUE,
    create_time INTEGER NOT NULL,
    expire_time INTEGER
) STRICT;

-- People who are logged in with a browser. Of the cookie only its SHA-256 is kept.
CREATE TABLE headbox_sessions (
    secret_hash BLOB NOT NULL PRIMARY KEY,
    user_name TEXT NOT NULL REFERENCES headbox_users (name) ON DELETE CASCADE,
    create_time INTEGER NOT NULL,
    expire_time INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE headbox_audited_events (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    time INTEGER NOT NULL,
    user_name TEXT,
    address TEXT,
    method TEXT NOT NULL,
    path TEXT NOT NULL,
    status INTEGER NOT NULL,
    detail TEXT
) STRICT;
CREATE INDEX headbox_audited_events_time ON headbox_audited_events (time);

CREATE TABLE headbox_settings (
    name TEXT NOT NULL PRIMARY KEY,
    value TEXT NOT NULL
) STRICT;
