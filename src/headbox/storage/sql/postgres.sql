-- Statements as PostgreSQL reads them; SQLite has the same under the same names. Batches come as one array for each name.
-- `state || ''` and the like keep an index from being used: the task is looked up by its id, whatever the statistics say.
-- So does LATERAL, of several ways to join.

-- enqueue --
-- `add_task`, and what that changes in how many tasks there are: a transaction in one statement.
WITH added AS (
    INSERT INTO headbox_tasks ({enqueued}) SELECT {enqueued_values} FROM {rows} AS given
    WHERE (SELECT run FROM headbox_task_history AS ended WHERE ended.id = :id ORDER BY ended.id, run LIMIT 1) IS NULL
    ON CONFLICT (id) DO NOTHING
    RETURNING queue, state
)
INSERT INTO headbox_changes (time, queue, became, counted, number)
SELECT :now::bigint, queue, state, 'enqueued', count(*) FROM added GROUP BY queue, state

-- record_start --
-- Runs have lasted long enough for their start to be worth recording.
UPDATE headbox_tasks AS task SET start_time = given.start_time
FROM unnest(:id::text[], :run::bigint[], :worker::text[], :start_time::bigint[]) AS given (id, run, worker, start_time)
WHERE task.id = given.id AND task.run = given.run AND task.state = 'running' AND task.worker || '' = given.worker

-- record_progress --
-- The latest progress of runs.
UPDATE headbox_tasks AS task SET progress = given.progress
FROM unnest(:id::text[], :run::bigint[], :worker::text[], :progress::text[]) AS given (id, run, worker, progress)
WHERE task.id = given.id AND task.run = given.run AND task.state = 'running' AND task.worker || '' = given.worker

-- archive_ends --
-- Archives the ends of runs that are their tasks' last whatever came of them; the fence holds or nothing happens.
-- (One that is in the history already refuses them all: then they are archived with ON
-- CONFLICT, which costs a quarter more.)
INSERT INTO headbox_task_history
    (state, start_time, finish_time, result, public_result, exception, traceback, consecutive_failures, losses, final,
     {kept})
SELECT given.state, given.start_time, given.finish_time, given.result, given.public_result, given.exception,
    given.traceback,
    CASE given.state WHEN 'finished' THEN 0 WHEN 'canceled' THEN task.consecutive_failures
        ELSE task.consecutive_failures + 1 END,
    0, TRUE, {kept_of_task}
FROM unnest(:id::text[], :run::bigint[], :state::text[], :start_time::bigint[], :finish_time::bigint[], :result::bytea[],
        :public_result::text[], :exception::text[], :traceback::text[])
        AS given (id, run, state, start_time, finish_time, result, public_result, exception, traceback)
    CROSS JOIN LATERAL (
        SELECT consecutive_failures, {kept} FROM headbox_tasks
        WHERE id = given.id AND run = given.run AND state || '' = 'running' AND worker || '' = :worker
            AND scheduler IN ('immediate', 'at') AND schedule_name IS NULL
            AND (attempts = 1 OR given.state IN ('finished', 'canceled'))
        FOR UPDATE) AS task

-- delete_ends --
-- Takes runs that this worker held out of the live tasks: all of the list were archived in this transaction.
DELETE FROM headbox_tasks WHERE id = ANY (:id::text[]) AND state || '' = 'running' AND worker || '' = :worker

-- take_ends --
-- The same for those that were archived, which it tells.
DELETE FROM headbox_tasks AS task
WHERE id = ANY (:id::text[]) AND state || '' = 'running' AND worker || '' = :worker
    AND EXISTS (SELECT 1 FROM headbox_task_history AS archived WHERE archived.id = task.id AND archived.run = task.run)
RETURNING id, queue

-- levels --
-- The levels (queue, is_async, priority) that have ready rows, each with its first row's due time and id; `queues` is a
-- JSON list, or null for all; suspended ones have none. A few probes of the index for each, however many rows it has. Last
-- come how many
-- entries of the index were read (many, if it is full of rows that are gone but that somebody's long transaction keeps)
-- and the snapshot.
WITH RECURSIVE before (entries) AS MATERIALIZED (
    SELECT pg_stat_get_xact_tuples_returned('headbox_tasks_ready'::regclass)
),
level (queue, is_async, priority, due_time, id) AS (
    (SELECT first.* FROM before, json_array_elements_text(:queues::json) AS given (queue) CROSS JOIN LATERAL (
        SELECT queue, is_async, priority, due_time, id FROM headbox_tasks
        WHERE {ready} AND queue = given.queue AND before.entries >= 0
        ORDER BY is_async, priority DESC, due_time, id LIMIT 1) AS first
     UNION ALL
     SELECT first.* FROM before CROSS JOIN LATERAL (
        SELECT queue, is_async, priority, due_time, id FROM headbox_tasks WHERE {ready} AND before.entries >= 0
        ORDER BY queue, is_async, priority DESC, due_time, id LIMIT 1) AS first
     WHERE :queues::json IS NULL)
    UNION ALL
    SELECT next.* FROM level CROSS JOIN LATERAL (
        (SELECT queue, is_async, priority, due_time, id FROM headbox_tasks
         WHERE {ready} AND queue = level.queue AND is_async = level.is_async AND priority < level.priority
         ORDER BY priority DESC, due_time, id LIMIT 1)
        UNION ALL
        (SELECT queue, is_async, priority, due_time, id FROM headbox_tasks
         WHERE {ready} AND queue = level.queue AND is_async > level.is_async
         ORDER BY is_async, priority DESC, due_time, id LIMIT 1)
        UNION ALL
        (SELECT queue, is_async, priority, due_time, id FROM headbox_tasks
         WHERE {ready} AND queue > level.queue AND :queues::json IS NULL
         ORDER BY queue, is_async, priority DESC, due_time, id LIMIT 1)
        LIMIT 1) AS next
),
after (entries) AS MATERIALIZED (
    SELECT pg_stat_get_xact_tuples_returned('headbox_tasks_ready'::regclass)
    FROM (SELECT count(*) AS levels FROM level) AS counted WHERE levels >= 0
)
SELECT level.*, after.entries - before.entries, pg_current_snapshot()::text FROM after CROSS JOIN before
    LEFT JOIN level ON level.queue NOT IN (SELECT queue FROM headbox_suspended_queues)
ORDER BY priority DESC, queue, is_async

-- known_levels --
-- The same for levels that are known, each looked at from where it began when it was last looked at.
SELECT first.*
FROM unnest(:queue::text[], :is_async::boolean[], :priority::bigint[], :due_time::bigint[], :id::text[])
    AS known (queue, is_async, priority, due_time, id) CROSS JOIN LATERAL (
        SELECT queue, is_async, priority, due_time, id FROM headbox_tasks
        WHERE {ready} AND queue = known.queue AND is_async = known.is_async AND priority = known.priority
            AND (due_time, id) >= (known.due_time, known.id)
        ORDER BY due_time, id LIMIT 1) AS first
WHERE known.queue NOT IN (SELECT queue FROM headbox_suspended_queues)
ORDER BY priority DESC, queue, is_async

-- claim --
-- Marks up to `limit` ready tasks running for a worker. One level after the other is asked for its `share`, the longest due
-- first, behind `passed` that it gave before; those that another worker is just claiming are passed by. Each begins at its
-- first row, past those that are gone; each row is looked up at its place, and only until there are enough. Nothing comes
-- behind `most_bytes` of arguments. (A row that is changed by another in the meantime has a new place: it is passed by,
-- too. The snapshot's id is a digest: a random one costs more than finding and locking a row.)
WITH free AS MATERIALIZED (
    SELECT place, sum(size) OVER (ROWS UNBOUNDED PRECEDING) - size AS bytes_before
    FROM (
        SELECT taken.place, taken.size
        FROM unnest(:queue::text[], :is_async::boolean[], :priority::bigint[], :due_time::bigint[], :id::text[],
                :share::bigint[], :passed::bigint[])
            AS level (queue, is_async, priority, due_time, id, share, passed) CROSS JOIN LATERAL (
                SELECT one.place, one.size
                FROM (SELECT ctid AS place FROM headbox_tasks
                      WHERE {ready} AND queue = level.queue AND is_async = level.is_async
                          AND priority = level.priority AND due_time <= :now
                          AND (due_time, id) >= (level.due_time, level.id)
                      ORDER BY due_time, id LIMIT level.share + level.passed + {lookahead}) AS due
                    CROSS JOIN LATERAL (
                        SELECT ctid AS place, {payload_bytes} AS size FROM headbox_tasks
                        WHERE ctid = due.place AND state IN ('waiting', 'reset') AND held + 0 = 0 AND weight <= :max_weight
                            AND callable <> ALL (ARRAY(SELECT json_array_elements_text(:unknown::json)))
                        FOR UPDATE SKIP LOCKED) AS one
                LIMIT level.share OFFSET level.passed) AS taken
        LIMIT :limit) AS found
)
UPDATE headbox_tasks SET state = 'running', worker = :worker, claimed_state = state,
    snapshot_id = md5(id || :worker || :now)
WHERE ctid = ANY (ARRAY(SELECT place FROM free WHERE bytes_before < :most_bytes))
RETURNING {work}, is_async

-- claim_alone --
-- `levels`, and where exactly one of them is due, `claim` of it up to a `limit`, with what that changes in how many tasks
-- there are: a transaction in one statement, which writes nothing where nothing is due. No task is passed over. Beside each
-- level: whether the worker is there, when the next task of the claimed level is due, the transaction's id, and a task.
WITH looked (queue, is_async, priority, due_time, id, entries, snapshot) AS MATERIALIZED (
{levels}
),
due AS MATERIALIZED (
    SELECT queue, is_async, priority, due_time, id FROM looked
    WHERE due_time <= :until AND (:queues::json IS NOT NULL OR queue <> :housekeeping)
),
aim AS MATERIALIZED (SELECT * FROM due WHERE (SELECT count(*) FROM due) = 1),
present AS MATERIALIZED (
    SELECT id FROM headbox_workers WHERE id = :worker AND EXISTS (SELECT FROM aim) FOR KEY SHARE
),
free AS MATERIALIZED (
    SELECT found.id, sum(found.size) OVER (ROWS UNBOUNDED PRECEDING) - found.size AS bytes_before
    FROM aim CROSS JOIN LATERAL (
        SELECT id, {payload_bytes} AS size FROM headbox_tasks
        WHERE {ready} AND queue = aim.queue AND is_async = aim.is_async AND priority = aim.priority
            AND due_time <= :until AND (due_time, id) >= (aim.due_time, aim.id)
        ORDER BY due_time, id LIMIT CASE WHEN aim.is_async THEN :async_limit ELSE :limit END
        FOR UPDATE SKIP LOCKED) AS found
),
claimed AS (
    UPDATE headbox_tasks SET state = 'running', worker = :worker, claimed_state = state,
        snapshot_id = md5(id || :worker || :now)
    WHERE id = ANY (ARRAY(SELECT id FROM free WHERE bytes_before < :most_bytes)) AND EXISTS (SELECT FROM present)
    RETURNING {work}, is_async
),
counted AS (
    INSERT INTO headbox_changes (time, queue, was, became, number)
    SELECT :now, queue, claimed_state, 'running', count(*) FROM claimed GROUP BY queue, claimed_state
),
next AS (
    SELECT first.due_time FROM aim CROSS JOIN LATERAL (
        SELECT due_time FROM headbox_tasks
        WHERE {ready} AND queue = aim.queue AND is_async = aim.is_async AND priority = aim.priority
            AND due_time > :until
        ORDER BY due_time LIMIT 1) AS first
)
SELECT looked.*, EXISTS (SELECT FROM present), (SELECT due_time FROM next), pg_current_xact_id_if_assigned()::text,
    claimed.*
FROM looked LEFT JOIN claimed ON claimed.queue = looked.queue AND claimed.is_async = looked.is_async
    AND claimed.priority = looked.priority

-- passed_over --
-- The most urgent ready task of some levels that is too heavy for the moment.
SELECT heavy.id, heavy.weight
FROM unnest(:queue::text[], :is_async::boolean[], :priority::bigint[], :due_time::bigint[], :id::text[])
    AS level (queue, is_async, priority, due_time, id) CROSS JOIN LATERAL (
        SELECT id, weight FROM (
            SELECT id, weight, callable FROM headbox_tasks
            WHERE {ready} AND queue = level.queue AND is_async = level.is_async AND priority = level.priority
                AND due_time <= :now AND (due_time, id) >= (level.due_time, level.id)
            ORDER BY due_time, id LIMIT {lookahead}) AS due
        WHERE weight > :max_weight AND callable <> ALL (ARRAY(SELECT json_array_elements_text(:unknown::json)))
        LIMIT 1) AS heavy
LIMIT 1

-- next_due --
-- When the next task of some levels is due.
SELECT min(next.due_time)
FROM unnest(:queue::text[], :is_async::boolean[], :priority::bigint[]) AS level (queue, is_async, priority)
    CROSS JOIN LATERAL (
        SELECT due_time FROM headbox_tasks
        WHERE {ready} AND queue = level.queue AND is_async = level.is_async AND priority = level.priority
            AND due_time > :now
        ORDER BY due_time LIMIT 1) AS next

-- add_change --
-- What a transaction has changed in how many tasks there are.
INSERT INTO headbox_changes (time, queue, was, became, counted, number, task_id)
SELECT * FROM unnest(:time::bigint[], :queue::text[], :was::text[], :became::text[], :counted::text[], :number::bigint[],
    :task_id::text[])

-- first_unfolded --
-- Where to begin to look for changes that are not folded: past those that are gone, but that somebody's long transaction
-- keeps. No transaction that can still add some has an id below the snapshot's.
-- (PostgreSQL has no min() of transaction ids before version 16.)
SELECT least(pg_snapshot_xmin(pg_current_snapshot()),
    (SELECT xid FROM headbox_changes WHERE {unfolded} ORDER BY xid LIMIT 1))::text

-- change_position --
-- Where to look for changes from now on: what is not seen yet has no earlier transaction id.
SELECT pg_snapshot_xmin(pg_current_snapshot())::text

-- add_count --
-- Folds changes into how many tasks of a queue are in a state.
INSERT INTO headbox_counts AS present (queue, state, number)
SELECT * FROM unnest(:queue::text[], :state::text[], :number::bigint[])
ON CONFLICT (queue, state) DO UPDATE SET number = present.number + excluded.number

-- add_period --
-- Folds changes into how often something has happened.
INSERT INTO headbox_periods AS present (span, start_time, counted, number)
SELECT * FROM unnest(:span::bigint[], :start_time::bigint[], :counted::text[], :number::bigint[])
ON CONFLICT (span, start_time, counted) DO UPDATE SET number = present.number + excluded.number
