-- Tasks that are not complete. Instants and spans are microseconds; payloads are described in storage/payload.py. Text that
-- an index holds is compared bytewise: as in SQLite, faster, and no new version of a locale can damage the index.
CREATE TABLE headbox_tasks (
    id text COLLATE "C" NOT NULL PRIMARY KEY,
    run integer NOT NULL,
    state text NOT NULL CHECK (state IN ('waiting', 'running', 'reset', 'suspended')),
    queue text COLLATE "C" NOT NULL,
    priority smallint NOT NULL CHECK (priority BETWEEN -9 AND 9),
    due_time bigint NOT NULL,
    callable text NOT NULL,
    method_name text NOT NULL,
    class_name text,
    callable_payload bytea,
    args bytea,
    kwargs bytea,
    public_args text,
    public_kwargs text,
    scheduler text NOT NULL CHECK (scheduler IN ('immediate', 'at', 'interval', 'cron')),
    schedule text,
    schedule_name text COLLATE "C",
    definition text,
    declared_by text,
    scheduled_time bigint,
    runs_left bigint,
    timeout bigint,
    attempts bigint NOT NULL CHECK (attempts >= 1),
    failure_threshold bigint,
    schedule_threshold bigint,
    weight bigint NOT NULL CHECK (weight >= 0),
    is_async boolean NOT NULL,
    job_id text COLLATE "C",
    owner text,
    unique_key text COLLATE "C",
    progress_arg text,
    progress_callback bytea,
    enqueue_time bigint NOT NULL,
    start_time bigint,
    finish_time bigint,
    consecutive_failures integer NOT NULL DEFAULT 0,
    losses integer NOT NULL DEFAULT 0,
    cancel_attempts integer NOT NULL DEFAULT 0,
    cancel_asked boolean NOT NULL DEFAULT FALSE,
    suspend_asked boolean NOT NULL DEFAULT FALSE,
    removed boolean NOT NULL DEFAULT FALSE,
    held integer NOT NULL DEFAULT 0 CHECK (held >= 0),
    worker text COLLATE "C",
    snapshot_id text,
    claimed_state text CHECK (claimed_state IN ('waiting', 'reset')),
    progress text,
    result bytea,
    public_result text,
    exception text,
    traceback text,
    final boolean NOT NULL DEFAULT FALSE,
    CHECK ((state = 'running') = (worker IS NOT NULL)),
    CHECK (snapshot_id IS NULL OR state = 'running')
) WITH (
    -- A task is written three times or so and then leaves: room on its page, and a vacuum that keeps up with that.
    fillfactor = 70,
    autovacuum_vacuum_threshold = 1000,
    autovacuum_vacuum_scale_factor = 0.02,
    autovacuum_analyze_threshold = 1000,
    autovacuum_analyze_scale_factor = 0.1,
    autovacuum_vacuum_cost_delay = 0
);

-- The claim's order within each level: (queue, is_async, priority).
CREATE INDEX headbox_tasks_ready ON headbox_tasks (queue, is_async, priority DESC, due_time, id)
    WHERE state IN ('waiting', 'reset') AND held = 0;
-- What a worker holds: rescue, and the list of running tasks.
CREATE INDEX headbox_tasks_running ON headbox_tasks (worker) WHERE state = 'running';
CREATE INDEX headbox_tasks_canceling ON headbox_tasks (worker) WHERE state = 'running' AND cancel_asked;
CREATE INDEX headbox_tasks_job ON headbox_tasks (job_id, id) WHERE job_id IS NOT NULL;
CREATE UNIQUE INDEX headbox_tasks_unique ON headbox_tasks (unique_key) WHERE unique_key IS NOT NULL;
CREATE UNIQUE INDEX headbox_tasks_schedule ON headbox_tasks (schedule_name) WHERE schedule_name IS NOT NULL;
-- Schedules with more runs than are kept.
CREATE INDEX headbox_tasks_recurring ON headbox_tasks (run) WHERE scheduler IN ('interval', 'cron');
CREATE INDEX headbox_tasks_schedules ON headbox_tasks (id) WHERE scheduler IN ('interval', 'cron');

-- Every run that has ended, with all that rebuilds its task. `final`: the task's last.
CREATE TABLE headbox_task_history (
    id text COLLATE "C" NOT NULL,
    run integer NOT NULL,
    state text NOT NULL CHECK (state IN ('finished', 'error', 'timed_out', 'canceled', 'reset')),
    queue text COLLATE "C" NOT NULL,
    priority smallint NOT NULL,
    due_time bigint NOT NULL,
    callable text NOT NULL,
    method_name text NOT NULL,
    class_name text,
    callable_payload bytea,
    args bytea,
    kwargs bytea,
    public_args text,
    public_kwargs text,
    scheduler text NOT NULL,
    schedule text,
    schedule_name text COLLATE "C",
    definition text,
    declared_by text,
    scheduled_time bigint,
    runs_left bigint,
    timeout bigint,
    attempts bigint NOT NULL,
    failure_threshold bigint,
    schedule_threshold bigint,
    weight bigint NOT NULL,
    is_async boolean NOT NULL,
    job_id text COLLATE "C",
    owner text,
    unique_key text COLLATE "C",
    progress_arg text,
    progress_callback bytea,
    enqueue_time bigint NOT NULL,
    start_time bigint,
    finish_time bigint NOT NULL,
    consecutive_failures integer NOT NULL,
    losses integer NOT NULL,
    cancel_attempts integer NOT NULL,
    cancel_asked boolean NOT NULL DEFAULT FALSE,
    suspend_asked boolean NOT NULL DEFAULT FALSE,
    removed boolean NOT NULL DEFAULT FALSE,
    held integer NOT NULL DEFAULT 0,
    worker text COLLATE "C",
    snapshot_id text,
    claimed_state text,
    progress text,
    result bytea,
    public_result text,
    exception text,
    traceback text,
    final boolean NOT NULL
) WITH (
    -- Large, and changed only at its ends: culling leaves a twentieth dead at most.
    autovacuum_vacuum_scale_factor = 0.05,
    autovacuum_vacuum_insert_scale_factor = 0.1
);

CREATE INDEX headbox_task_history_finish ON headbox_task_history (finish_time, id, run);
-- How runs ended that did not just finish: few of very many.
CREATE INDEX headbox_task_history_outcome ON headbox_task_history (state, finish_time, id, run) WHERE state <> 'finished';
CREATE INDEX headbox_task_history_job ON headbox_task_history (job_id, finish_time) WHERE job_id IS NOT NULL;
-- Made last: of indexes that seem to cost the same, as all of an empty table do, PostgreSQL takes the one made last.
ALTER TABLE headbox_task_history ADD PRIMARY KEY (id, run);

-- Why a task's `held` is not 0: one row a reason.
CREATE TABLE headbox_holds (
    reason text COLLATE "C" NOT NULL,
    task_id text COLLATE "C" NOT NULL,
    PRIMARY KEY (reason, task_id)
);
CREATE INDEX headbox_holds_task ON headbox_holds (task_id);

-- Queues of which nothing is claimed until they are resumed.
CREATE TABLE headbox_suspended_queues (
    queue text COLLATE "C" NOT NULL PRIMARY KEY,
    suspend_time bigint NOT NULL
);

-- What transactions have changed in how many tasks there are, until it is folded into the counts: rows are only ever
-- added, so nobody waits for them. `was`, `became`: live states; `counted`: what has happened (enqueued, how runs ended);
-- `task_id`: nothing else tells that this task has changed. `xid`: which rows can still come, that none is missed.
CREATE TABLE headbox_changes (
    id bigint GENERATED ALWAYS AS IDENTITY,
    xid xid8 NOT NULL DEFAULT pg_current_xact_id(),
    time bigint NOT NULL,
    queue text COLLATE "C" NOT NULL,
    was text,
    became text,
    counted text,
    number bigint NOT NULL,
    task_id text,
    PRIMARY KEY (xid, id)
) WITH (autovacuum_vacuum_threshold = 10000, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_cost_delay = 0);

-- How many tasks of a queue are in a live state; those of `headbox_changes` come to it.
CREATE TABLE headbox_counts (
    queue text COLLATE "C" NOT NULL,
    state text COLLATE "C" NOT NULL,
    number bigint NOT NULL,
    PRIMARY KEY (queue, state)
) WITH (fillfactor = 50);

-- How often something has happened within a period of so many microseconds (0: ever).
CREATE TABLE headbox_periods (
    span bigint NOT NULL,
    start_time bigint NOT NULL,
    counted text COLLATE "C" NOT NULL,
    number bigint NOT NULL,
    PRIMARY KEY (span, start_time, counted)
) WITH (fillfactor = 50);

CREATE TABLE headbox_workers (
    id text COLLATE "C" NOT NULL PRIMARY KEY,
    host text NOT NULL,
    boot_id text NOT NULL,
    pid integer NOT NULL,
    process_start bigint NOT NULL,
    app text,
    queues text NOT NULL,
    concurrency integer NOT NULL,
    start_time bigint NOT NULL,
    heartbeat_time bigint NOT NULL,
    lease bigint NOT NULL,
    names text NOT NULL,
    declares text NOT NULL
) WITH (fillfactor = 50); -- heartbeats stay on the page

-- What workers have published: kept when they stop, so that tasks can be enqueued while none runs.
CREATE TABLE headbox_callables (
    name text COLLATE "C" NOT NULL PRIMARY KEY,
    publication text NOT NULL,
    publish_time bigint NOT NULL
);

CREATE TABLE headbox_users (
    name text COLLATE "C" NOT NULL PRIMARY KEY,
    password_hash text NOT NULL,
    roles text NOT NULL,
    create_time bigint NOT NULL
);

CREATE TABLE headbox_tokens (
    id text COLLATE "C" NOT NULL PRIMARY KEY,
    user_name text COLLATE "C" NOT NULL REFERENCES headbox_users (name) ON DELETE CASCADE,
    name text COLLATE "C" NOT NULL,
    secret_hash bytea NOT NULL UNIQUE,
    create_time bigint NOT NULL,
    expire_time bigint
);

-- People who are logged in with a browser. Of the cookie only its SHA-256 is kept.
CREATE TABLE headbox_sessions (
    secret_hash bytea NOT NULL PRIMARY KEY,
    user_name text COLLATE "C" NOT NULL REFERENCES headbox_users (name) ON DELETE CASCADE,
    create_time bigint NOT NULL,
    expire_time bigint NOT NULL
);

CREATE TABLE headbox_audited_events (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    time bigint NOT NULL,
    user_name text COLLATE "C",
    address text,
    method text NOT NULL,
    path text NOT NULL,
    status integer NOT NULL,
    detail text
);
CREATE INDEX headbox_audited_events_time ON headbox_audited_events (time);

CREATE TABLE headbox_settings (
    name text COLLATE "C" NOT NULL PRIMARY KEY,
    value text NOT NULL
);
