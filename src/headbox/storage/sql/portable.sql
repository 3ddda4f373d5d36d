-- Statements that both databases read alike. `{fields}` are the columns of a task, `{kept}` those that an end leaves as
-- they are, `{ready}` the condition of the claim's index; what `{lock}` and the like stand for is in queries.py.

-- add_task --
-- Accepts tasks; the same id again changes nothing, even if the task has ended since. One for each of `rows`: what differs
-- between them is taken from there (storage/sqlite/bulk.py, storage/postgres/arrays.py). The order has
-- each looked up in the history by its key: as a join PostgreSQL would read all of it, if that was empty when it planned.
INSERT INTO headbox_tasks ({enqueued}) SELECT {enqueued_values} FROM {rows} AS given
WHERE (SELECT run FROM headbox_task_history AS ended WHERE ended.id = :id ORDER BY ended.id, run LIMIT 1) IS NULL
ON CONFLICT (id) DO NOTHING

-- live --
-- The task that is not complete.
SELECT {fields} FROM headbox_tasks WHERE id = :id{lock}

-- live_run --
-- A run that this worker still holds: the fence.
SELECT {fields} FROM headbox_tasks WHERE id = :id AND run = :run AND state = 'running' AND worker = :worker{lock}

-- last_run --
-- The newest archived run of a task.
SELECT {fields} FROM headbox_task_history WHERE id = :id ORDER BY run DESC LIMIT 1{lock}

-- archived_run --
-- One archived run.
SELECT {fields} FROM headbox_task_history WHERE id = :id AND run = :run

-- recorded_by --
-- As what this worker's run was archived: a finish that is tried again asks first.
SELECT state FROM headbox_task_history WHERE id = :id AND run = :run AND worker = :worker

-- history --
-- The archived runs of a task, newest first.
SELECT {fields} FROM headbox_task_history WHERE id = :id ORDER BY run DESC LIMIT :limit

-- running --
-- The tasks that have been running longest; those whose start is not recorded yet come last.
SELECT {fields} FROM headbox_tasks WHERE state = 'running'
ORDER BY CASE WHEN start_time IS NULL THEN 1 ELSE 0 END, start_time, id LIMIT :limit

-- loads --
-- How many runs each worker holds, and their weights.
SELECT worker, count(*), sum(weight) FROM headbox_tasks WHERE state = 'running' GROUP BY worker

-- upcoming --
-- What is due next of one level.
SELECT {fields} FROM headbox_tasks
WHERE {ready} AND queue = :queue AND is_async = :is_async AND priority = :priority AND due_time > :now
ORDER BY due_time, id LIMIT :limit

-- unique_in_the_way --
-- The incomplete task that has this key.
SELECT id FROM headbox_tasks WHERE unique_key = :unique_key

-- named_schedule --
-- The live task of a declared schedule.
SELECT {fields} FROM headbox_tasks WHERE schedule_name = :schedule_name{lock}

-- next_occurrence --
-- Lets a task wait again: its next occurrence, or the one that was lost.
UPDATE headbox_tasks SET
    run = run + 1, state = :state, due_time = :due_time, scheduled_time = :scheduled_time, runs_left = :runs_left,
    consecutive_failures = :consecutive_failures, losses = :losses, suspend_asked = :suspend_asked,
    cancel_attempts = :cancel_attempts, cancel_asked = {no}, start_time = NULL, worker = NULL, snapshot_id = NULL,
    claimed_state = NULL, progress = NULL
WHERE id = :id{wakes}

-- delete_task --
-- Takes a task out of the live ones.
DELETE FROM headbox_tasks WHERE id = :id

-- change_state --
-- Suspends or resumes a task that is not running.
UPDATE headbox_tasks SET state = :state, due_time = :due_time, scheduled_time = :scheduled_time, suspend_asked = {no}
WHERE id = :id{wakes}

-- hasten --
-- Gives a schedule that waits one more occurrence, now.
UPDATE headbox_tasks SET due_time = :now, scheduled_time = :now, runs_left = runs_left + 1
WHERE id = :id AND due_time > :now{wakes}

-- schedules --
-- The recurring tasks that are not complete, oldest id first.
SELECT {fields} FROM headbox_tasks WHERE scheduler IN ('interval', 'cron') AND id > :after ORDER BY id LIMIT :limit

-- is_ahead --
-- Whether a ready one-off was accepted later than it is: the clock has been set back since. `id` is the lowest of then.
SELECT 1 FROM headbox_tasks
WHERE id >= :id AND enqueue_time > :later AND due_time > :later AND scheduled_time IS NULL
    AND state IN ('waiting', 'reset')
LIMIT 1

-- bring_forward --
-- Makes all such tasks due now.
UPDATE headbox_tasks SET due_time = :now
WHERE id >= :id AND enqueue_time > :later AND due_time > :later AND scheduled_time IS NULL
    AND state IN ('waiting', 'reset'){wakes}

-- ask_to_cancel --
-- Asks a run in progress to stop.
UPDATE headbox_tasks SET cancel_asked = {yes}, cancel_attempts = cancel_attempts + 1 WHERE id = :id{asks}

-- ask_to_suspend --
-- The next occurrence of a running task is to be suspended, or no longer so.
UPDATE headbox_tasks SET suspend_asked = :suspend_asked WHERE id = :id

-- ask_to_remove --
-- The run in progress is the last.
UPDATE headbox_tasks SET removed = {yes} WHERE id = :id

-- reschedule --
-- Gives a task another schedule.
UPDATE headbox_tasks SET scheduler = :scheduler, schedule = :schedule, scheduled_time = :scheduled_time,
    due_time = :due_time, runs_left = :runs_left, unique_key = :unique_key
WHERE id = :id{wakes}

-- not_final --
-- An archived run is no longer its task's last: the task was reset.
UPDATE headbox_task_history SET final = :no WHERE id = :id AND run = :run

-- restore_task --
-- Makes an archived task live again.
INSERT INTO headbox_tasks ({fields}) VALUES ({field_values}){wakes}

-- add_run --
-- Archives a run whose task was read in the same transaction.
INSERT INTO headbox_task_history ({fields}) VALUES ({field_values})

-- delete_snapshot --
-- The run in progress is not to be run again if it is lost.
UPDATE headbox_tasks SET snapshot_id = NULL WHERE id = :id AND snapshot_id IS NOT NULL

-- snapshots --
-- The tasks that have a snapshot. (In no order: for one by id SQLite would walk through all that wait.)
SELECT {fields} FROM headbox_tasks WHERE state = 'running' AND snapshot_id IS NOT NULL

-- release --
-- Gives back a run that was claimed and never started.
UPDATE headbox_tasks SET state = claimed_state, claimed_state = NULL, worker = NULL, snapshot_id = NULL, start_time = NULL
WHERE id = :id AND run = :run AND state = 'running' AND worker = :worker{wakes}

-- release_suspended --
-- Gives back a run that was to be suspended next: it never started, so it is suspended now.
UPDATE headbox_tasks SET state = 'suspended', claimed_state = NULL, worker = NULL, snapshot_id = NULL, start_time = NULL,
    suspend_asked = {no}
WHERE id = :id

-- hold --
-- One more reason why a task is not to run.
UPDATE headbox_tasks SET held = held + 1 WHERE id = :id

-- unhold --
-- One reason less.
UPDATE headbox_tasks SET held = held - 1 WHERE id = :id{wakes}

-- add_hold --
-- Names a reason.
INSERT INTO headbox_holds (reason, task_id) VALUES (:reason, :task_id) ON CONFLICT DO NOTHING

-- held_for --
-- The tasks that a reason holds.
SELECT task_id FROM headbox_holds WHERE reason = :reason

-- drop_holds --
-- A reason is gone.
DELETE FROM headbox_holds WHERE reason = :reason

-- drop_holds_of --
-- A task that is gone is held no more.
DELETE FROM headbox_holds WHERE task_id = :id

-- canceling --
-- The running tasks of a worker that were asked to stop.
SELECT id, run FROM headbox_tasks WHERE worker = :worker AND state = 'running' AND cancel_asked = {yes}

-- held_by --
-- What a worker holds.
SELECT id, run FROM headbox_tasks WHERE worker = :worker AND state = 'running'

-- running_of --
-- What a worker holds, whole.
SELECT {fields} FROM headbox_tasks WHERE worker = :worker AND state = 'running' ORDER BY id{lock}

-- running_without_worker --
-- Running tasks whose worker has no row, in the order of the index that knows them.
SELECT {fields} FROM headbox_tasks WHERE state = 'running' AND worker NOT IN (SELECT id FROM headbox_workers)
ORDER BY worker, id{lock}

-- redeclare --
-- A schedule is declared anew: its definition changes in place.
UPDATE headbox_tasks SET
    queue = :queue, priority = :priority, due_time = :due_time, callable = :callable, method_name = :method_name,
    class_name = :class_name, callable_payload = :callable_payload, args = :args, kwargs = :kwargs,
    public_args = :public_args, public_kwargs = :public_kwargs, scheduler = :scheduler, schedule = :schedule,
    definition = :definition, declared_by = :declared_by, scheduled_time = :scheduled_time, runs_left = :runs_left,
    timeout = :timeout, attempts = :attempts, failure_threshold = :failure_threshold,
    schedule_threshold = :schedule_threshold, weight = :weight, is_async = :is_async, job_id = :job_id, owner = :owner,
    progress_arg = :progress_arg, progress_callback = :progress_callback, removed = {no}
WHERE id = :id{wakes}

-- worker_names --
-- The callables that each worker knows.
SELECT names FROM headbox_workers

-- add_worker --
-- A worker comes.
INSERT INTO headbox_workers
    (id, host, boot_id, pid, process_start, app, queues, concurrency, start_time, heartbeat_time, lease, names, declares)
VALUES
    (:id, :host, :boot_id, :pid, :process_start, :app, :queues, :concurrency, :start_time, :heartbeat_time, :lease,
     :names, :declares)

-- heartbeat --
-- A worker is alive. Tells the time.
UPDATE headbox_workers SET heartbeat_time = :now WHERE id = :worker RETURNING {time}

-- worker_exists --
-- A superseded worker has no row.
SELECT 1 FROM headbox_workers WHERE id = :worker{share}

-- delete_worker --
-- A worker is gone.
DELETE FROM headbox_workers WHERE id = :worker

-- workers --
-- All workers, oldest first.
SELECT id, host, boot_id, pid, process_start, app, queues, concurrency, start_time, heartbeat_time, lease, names, declares
FROM headbox_workers ORDER BY id

-- survey --
-- How many workers there are, who, when the first lease of another one ends, when housekeeping is due, and whether there
-- are changes that are not folded.
SELECT count(*), coalesce({roll}, ''), min(CASE WHEN id <> :worker THEN heartbeat_time + lease END),
    (SELECT min(due_time) FROM headbox_tasks WHERE {ready} AND queue = :housekeeping),
    EXISTS (SELECT 1 FROM headbox_changes WHERE {unfolded})
FROM headbox_workers

-- publish --
-- What a worker can run, for the API to know.
INSERT INTO headbox_callables (name, publication, publish_time) VALUES (:name, :publication, :now)
ON CONFLICT (name) DO UPDATE SET publication = excluded.publication, publish_time = excluded.publish_time

-- published --
-- The names that are published, and when they were last.
SELECT name, publish_time FROM headbox_callables

-- unpublish --
-- Forgets a callable.
DELETE FROM headbox_callables WHERE name = :name

-- callables --
-- What workers have published.
SELECT publication FROM headbox_callables ORDER BY name

-- declared_schedules --
-- The live schedules that applications declare.
SELECT {fields} FROM headbox_tasks WHERE schedule_name IS NOT NULL AND declared_by IS NOT NULL ORDER BY schedule_name

-- latest --
-- Where to begin to look for tasks that end or come.
SELECT coalesce((SELECT max(finish_time) FROM headbox_task_history), 0),
    coalesce((SELECT max(id) FROM headbox_tasks), '')

-- running_now --
-- What tells whether a running task has changed.
SELECT id, run, start_time, progress, cancel_asked, suspend_asked, removed FROM headbox_tasks
WHERE state = 'running' LIMIT :limit

-- ended_since --
-- The runs that have ended since, newest first.
SELECT id, run, finish_time FROM headbox_task_history WHERE finish_time > :since
ORDER BY finish_time DESC, id DESC, run DESC LIMIT :limit

-- added_since --
-- The tasks that have come since, newest first.
SELECT id FROM headbox_tasks WHERE id > :id ORDER BY id DESC LIMIT :limit

-- touched --
-- The tasks of which nothing else tells that they have changed.
SELECT id, task_id FROM headbox_changes WHERE task_id IS NOT NULL AND {unfolded}

-- under_way --
-- The runs that have lasted for a while, and where.
SELECT worker, id, method_name, weight FROM headbox_tasks WHERE state = 'running' AND start_time IS NOT NULL

-- ready_before --
-- How many ready tasks of a level are claimed before one, up to a limit.
SELECT count(*) FROM (
    SELECT 1 FROM headbox_tasks
    WHERE {ready} AND queue = :queue AND is_async = :is_async AND priority = :priority
        AND (due_time, id) < (:due_time, :id)
    LIMIT :limit) AS earlier

-- jobs_in_progress --
-- The jobs that have incomplete tasks, by id, and when the oldest of these was enqueued; each by one look at the index.
WITH RECURSIVE job (id, place) AS (
    SELECT min(job_id), 1 FROM headbox_tasks WHERE job_id > :after
    UNION ALL
    SELECT (SELECT min(job_id) FROM headbox_tasks WHERE job_id > job.id), place + 1 FROM job
    WHERE id IS NOT NULL AND place < :limit
)
SELECT id, (SELECT enqueue_time FROM headbox_tasks WHERE job_id = job.id ORDER BY headbox_tasks.id LIMIT 1)
FROM job WHERE id IS NOT NULL ORDER BY id

-- jobs_ended --
-- The jobs that have no incomplete task, the latest first, as far as they are among the newest so many runs: when their
-- last run was enqueued, and when it ended.
WITH newest AS (
    SELECT job_id, enqueue_time, finish_time, id, run FROM headbox_task_history
    ORDER BY finish_time DESC, id DESC, run DESC LIMIT :newest
), latest AS (
    SELECT job_id, enqueue_time, finish_time,
        row_number() OVER (PARTITION BY job_id ORDER BY finish_time DESC, id DESC, run DESC) AS place
    FROM newest WHERE job_id IS NOT NULL
)
SELECT job_id, enqueue_time, finish_time FROM latest
WHERE place = 1 AND NOT EXISTS (SELECT 1 FROM headbox_tasks WHERE headbox_tasks.job_id = latest.job_id)
ORDER BY finish_time DESC LIMIT :limit

-- suspend_queue --
-- Nothing of a queue is claimed any more.
INSERT INTO headbox_suspended_queues (queue, suspend_time) VALUES (:queue, :now) ON CONFLICT DO NOTHING

-- resume_queue --
-- What waits in a queue may be claimed again.
DELETE FROM headbox_suspended_queues WHERE queue = :queue{wakes}

-- suspended_queues --
-- The queues of which nothing is claimed.
SELECT queue, suspend_time FROM headbox_suspended_queues

-- counts --
-- How many tasks of each queue are in each live state.
SELECT queue, state, CAST(sum(number) AS bigint) FROM (
    SELECT queue, state, number FROM headbox_counts
    UNION ALL SELECT queue, was, -number FROM headbox_changes WHERE was IS NOT NULL AND {unfolded}
    UNION ALL SELECT queue, became, number FROM headbox_changes WHERE became IS NOT NULL AND {unfolded}) AS moved
GROUP BY queue, state HAVING sum(number) <> 0 ORDER BY queue

-- periods --
-- How often something has happened in each period, as far as it is folded: the fine ones since `fine_since`, the coarse
-- ones since `coarse_since`, and ever.
SELECT span, start_time, counted, number FROM headbox_periods
WHERE span = 0 OR (span = :fine AND start_time >= :fine_since) OR (span = :coarse AND start_time >= :coarse_since)

-- recent_changes --
-- What has happened and is not folded yet, and in how many rows that is said.
SELECT CAST(time / :fine AS bigint) * :fine, counted, CAST(sum(number) AS bigint), count(*)
FROM headbox_changes WHERE {unfolded} GROUP BY time / :fine, counted

-- is_foldable --
-- Whether there are changes to fold.
SELECT 1 FROM headbox_changes WHERE {foldable} LIMIT 1

-- take_changes --
-- Takes a batch of changes, to be folded.
DELETE FROM headbox_changes WHERE id IN (SELECT id FROM headbox_changes WHERE {foldable} LIMIT :limit{pass_by})
    AND {unfolded}
RETURNING time, queue, was, became, counted, number

-- drop_empty_counts --
-- Queues that have no tasks in a state.
DELETE FROM headbox_counts WHERE number = 0

-- cull_periods --
-- Periods that are past.
DELETE FROM headbox_periods WHERE span = :span AND start_time < :before

-- cull_history --
-- Deletes a batch of runs that ended before.
DELETE FROM headbox_task_history WHERE (id, run) IN (
    SELECT id, run FROM headbox_task_history WHERE finish_time < :before ORDER BY finish_time LIMIT :limit)

-- long_schedules --
-- Schedules with more runs than are kept.
SELECT id, run FROM headbox_tasks WHERE scheduler IN ('interval', 'cron') AND run > :runs

-- cull_runs --
-- Deletes a batch of a schedule's oldest runs.
DELETE FROM headbox_task_history WHERE (id, run) IN (
    SELECT id, run FROM headbox_task_history WHERE id = :id AND run < :run ORDER BY run LIMIT :limit)

-- cull_audited_events --
-- Deletes a batch of old audited events.
DELETE FROM headbox_audited_events WHERE id IN (
    SELECT id FROM headbox_audited_events WHERE time < :before ORDER BY time LIMIT :limit)

-- create_user --
-- Adds a user whose name is free.
INSERT INTO headbox_users (name, password_hash, roles, create_time) VALUES (:name, :password_hash, :roles, :create_time)
ON CONFLICT DO NOTHING

-- user --
-- One user.
SELECT name, password_hash, roles, create_time FROM headbox_users WHERE name = :name

-- users --
-- All users.
SELECT name, password_hash, roles, create_time FROM headbox_users ORDER BY name

-- change_user --
-- Another password or other roles.
UPDATE headbox_users SET password_hash = :password_hash, roles = :roles WHERE name = :name

-- delete_user --
-- A user goes.
DELETE FROM headbox_users WHERE name = :name

-- delete_tokens_of --
-- And the user's tokens.
DELETE FROM headbox_tokens WHERE user_name = :name

-- create_token --
-- Adds a token.
INSERT INTO headbox_tokens (id, user_name, name, secret_hash, create_time, expire_time)
VALUES (:id, :user, :name, :secret_hash, :create_time, :expire_time)

-- holder --
-- The user of the token with this secret that has not expired.
SELECT holder.name, password_hash, roles, holder.create_time
FROM headbox_tokens AS token JOIN headbox_users AS holder ON holder.name = user_name
WHERE secret_hash = :secret_hash AND (expire_time IS NULL OR expire_time > :now)

-- token_by_id --
-- One token.
SELECT id, user_name, name, secret_hash, create_time, expire_time FROM headbox_tokens WHERE id = :id

-- tokens --
-- All tokens.
SELECT id, user_name, name, secret_hash, create_time, expire_time FROM headbox_tokens ORDER BY id

-- tokens_of --
-- A user's tokens.
SELECT id, user_name, name, secret_hash, create_time, expire_time FROM headbox_tokens WHERE user_name = :user ORDER BY id

-- delete_token --
-- A token goes.
DELETE FROM headbox_tokens WHERE id = :id

-- create_session --
-- Adds a session.
INSERT INTO headbox_sessions (secret_hash, user_name, create_time, expire_time)
VALUES (:secret_hash, :user, :create_time, :expire_time)

-- session --
-- The session with this secret that has not expired.
SELECT secret_hash, user_name, create_time, expire_time FROM headbox_sessions
WHERE secret_hash = :secret_hash AND expire_time > :now

-- extend_session --
-- A session lasts longer.
UPDATE headbox_sessions SET expire_time = :expire_time WHERE secret_hash = :secret_hash

-- delete_session --
-- A session ends.
DELETE FROM headbox_sessions WHERE secret_hash = :secret_hash

-- delete_sessions_of --
-- All sessions of a user end.
DELETE FROM headbox_sessions WHERE user_name = :name

-- delete_expired_sessions --
-- What is left of sessions that ended by themselves.
DELETE FROM headbox_sessions WHERE expire_time <= :now

-- record_event --
-- Adds an audited event.
INSERT INTO headbox_audited_events (time, user_name, address, method, path, status, detail)
VALUES (:time, :user, :address, :method, :path, :status, :detail)

-- events --
-- Audited events below an id, newest first.
SELECT id, time, user_name, address, method, path, status, detail FROM headbox_audited_events
WHERE id < :before ORDER BY id DESC LIMIT :limit

-- setting --
-- One setting that the database keeps.
SELECT value FROM headbox_settings WHERE name = :name

-- add_setting --
-- Keeps a setting, unless there is one of this name.
INSERT INTO headbox_settings (name, value) VALUES (:name, :value) ON CONFLICT (name) DO NOTHING

-- change_setting --
-- Keeps a setting.
INSERT INTO headbox_settings (name, value) VALUES (:name, :value) ON CONFLICT (name) DO UPDATE SET value = excluded.value

-- delete_setting --
-- Forgets a setting.
DELETE FROM headbox_settings WHERE name = :name
