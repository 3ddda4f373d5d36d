-- Statements as SQLite reads them; PostgreSQL has the same under the same names and parameters.

-- record_start --
-- A run has lasted long enough for its start to be worth recording.
UPDATE headbox_tasks SET start_time = :start_time WHERE id = :id AND run = :run AND state = 'running' AND worker = :worker

-- record_progress --
-- The latest progress of a run.
UPDATE headbox_tasks SET progress = :progress WHERE id = :id AND run = :run AND state = 'running' AND worker = :worker

-- archive_ends --
-- Archives the ends of runs that are their tasks' last whatever came of them; the fence holds or nothing happens.
-- Set-based, as `add_task` is: half the time of a statement a run.
INSERT INTO headbox_task_history
    (state, start_time, finish_time, result, public_result, exception, traceback, consecutive_failures, losses, final,
     {kept})
SELECT :state, :start_time, :finish_time, :result, :public_result, :exception, :traceback,
    CASE :state WHEN 'finished' THEN 0 WHEN 'canceled' THEN task.consecutive_failures
        ELSE task.consecutive_failures + 1 END,
    0, 1, {kept_of_task}
FROM json_each(:rows) AS given CROSS JOIN headbox_tasks AS task ON task.id = :id
WHERE task.run = :run AND task.state = 'running' AND task.worker = :worker
    AND task.scheduler IN ('immediate', 'at') AND task.schedule_name IS NULL
    AND (task.attempts = 1 OR :state IN ('finished', 'canceled'))
ON CONFLICT DO NOTHING

-- delete_ends --
-- Takes runs that this worker held out of the live tasks: all of the list were archived in this transaction.
DELETE FROM headbox_tasks
WHERE id IN (SELECT :id FROM json_each(:rows) AS given) AND +state = 'running' AND +worker = :worker

-- take_ends --
-- The same for those that were archived, which it tells: at twice the cost.
DELETE FROM headbox_tasks
WHERE id IN (SELECT :id FROM json_each(:rows) AS given) AND +state = 'running' AND +worker = :worker
    AND EXISTS (SELECT 1 FROM headbox_task_history AS archived
                WHERE archived.id = headbox_tasks.id AND archived.run = headbox_tasks.run)
RETURNING id, queue

-- levels --
-- The levels (queue, is_async, priority) that have ready rows, each with its earliest due time, but for those of suspended
-- queues; `queues` is a JSON list, or null for all.
WITH RECURSIVE
served (queue) AS (
    SELECT value FROM json_each(:queues)
    UNION ALL
    SELECT min(queue) FROM headbox_tasks WHERE {ready} AND :queues IS NULL
    UNION
    SELECT (SELECT min(queue) FROM headbox_tasks WHERE {ready} AND queue > served.queue)
    FROM served WHERE :queues IS NULL AND served.queue IS NOT NULL
),
lane (is_async) AS (VALUES (0), (1)),
level (queue, is_async, priority) AS (
    SELECT queue, is_async, (SELECT max(priority) FROM headbox_tasks
                             WHERE {ready} AND queue = served.queue AND is_async = lane.is_async)
    FROM served, lane WHERE queue IS NOT NULL
    UNION ALL
    SELECT queue, is_async, (SELECT max(priority) FROM headbox_tasks
                             WHERE {ready} AND queue = level.queue AND is_async = level.is_async
                                 AND priority < level.priority)
    FROM level WHERE priority IS NOT NULL
)
SELECT queue, is_async, priority, (
    SELECT min(due_time) FROM headbox_tasks
    WHERE {ready} AND queue = level.queue AND is_async = level.is_async AND priority = level.priority)
FROM level WHERE priority IS NOT NULL AND queue NOT IN (SELECT queue FROM headbox_suspended_queues)
ORDER BY priority DESC, queue

-- claimable --
-- Up to `share` ready tasks of one level that a worker can run, the longest due first, and where their rows are.
SELECT {work_of_ready}, place
FROM (SELECT place FROM (
        SELECT rowid AS place, weight, callable FROM headbox_tasks
        WHERE {ready} AND queue = :queue AND is_async = :is_async AND priority = :priority AND due_time <= :now
        ORDER BY due_time, id LIMIT :share + {lookahead})
      WHERE weight <= :max_weight AND callable NOT IN (SELECT value FROM json_each(:unknown))
      LIMIT :share)
    CROSS JOIN headbox_tasks AS task ON task.rowid = place

-- claim --
-- Marks these rows running for a worker. (In one statement with `claimable` it would cost half as much again: what an
-- UPDATE gives back is copied twice.) `snapshot` is another for each claim: to draw lots for each row would cost a tenth.
UPDATE headbox_tasks SET state = 'running', worker = :worker, claimed_state = state, snapshot_id = :snapshot || rowid
WHERE rowid IN (SELECT value FROM json_each(:places))

-- passed_over --
-- The most urgent ready task of one level that is too heavy for the moment.
SELECT id, weight FROM (
    SELECT id, weight, callable FROM headbox_tasks
    WHERE {ready} AND queue = :queue AND is_async = :is_async AND priority = :priority AND due_time <= :now
    ORDER BY due_time, id LIMIT {lookahead})
WHERE weight > :max_weight AND callable NOT IN (SELECT value FROM json_each(:unknown)) LIMIT 1

-- next_due --
-- When the next task of one level is due.
SELECT min(due_time) FROM headbox_tasks
WHERE {ready} AND queue = :queue AND is_async = :is_async AND priority = :priority AND due_time > :now

-- add_change --
-- What a transaction has changed in how many tasks there are.
INSERT INTO headbox_changes (time, queue, was, became, counted, number, task_id)
VALUES (:time, :queue, :was, :became, :counted, :number, :task_id)

-- first_unfolded --
-- Where to begin to look for changes that are not folded: at the beginning, for what is folded is gone.
SELECT '0' WHERE :since IS NOT NULL

-- change_position --
-- Where to look for changes from now on.
SELECT CAST(coalesce(max(id), 0) AS TEXT) FROM headbox_changes

-- add_count --
-- Folds changes into how many tasks of a queue are in a state.
INSERT INTO headbox_counts (queue, state, number) VALUES (:queue, :state, :number)
ON CONFLICT (queue, state) DO UPDATE SET number = number + excluded.number

-- add_period --
-- Folds changes into how often something has happened.
INSERT INTO headbox_periods (span, start_time, counted, number) VALUES (:span, :start_time, :counted, :number)
ON CONFLICT (span, start_time, counted) DO UPDATE SET number = number + excluded.number
