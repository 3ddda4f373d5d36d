-- Statements as SQLite reads them; PostgreSQL has the same under the same names and parameters.

-- add_task --
-- Accepts a task; the same id again changes nothing, even if the task has ended since.
INSERT INTO headbox_tasks ({enqueued}) SELECT {enqueued_values}
WHERE NOT EXISTS (SELECT 1 FROM headbox_task_history WHERE id = :id)
ON CONFLICT (id) DO NOTHING

-- restore_task --
-- Makes an archived task live again.
INSERT INTO headbox_tasks ({fields}) VALUES ({field_values})

-- add_run --
-- Archives a run whose task was read in the same transaction.
INSERT INTO headbox_task_history ({fields}) VALUES ({field_values})

-- archive_end --
-- Archives the end of a run that is its task's last whatever came of it; the fence holds or nothing happens.
INSERT INTO headbox_task_history
    (state, start_time, finish_time, result, public_result, exception, traceback, consecutive_failures, losses, final,
     {kept})
SELECT :state, :start_time, :finish_time, :result, :public_result, :exception, :traceback,
    CASE :state WHEN 'finished' THEN 0 WHEN 'canceled' THEN consecutive_failures ELSE consecutive_failures + 1 END, 0, 1,
    {kept}
FROM headbox_tasks
WHERE id = :id AND run = :run AND state = 'running' AND worker = :worker AND scheduler IN ('immediate', 'at')
    AND (attempts = 1 OR :state IN ('finished', 'canceled'))
ON CONFLICT DO NOTHING

-- delete_end --
-- Takes what `archive_end` archived out of the live tasks.
DELETE FROM headbox_tasks
WHERE id = :id AND run = :run AND state = 'running' AND worker = :worker AND scheduler IN ('immediate', 'at')
    AND (attempts = 1 OR :state IN ('finished', 'canceled'))

-- levels --
-- The (queue, priority) pairs that have ready rows, each with its earliest due time; `queues` is a JSON list, or null.
WITH RECURSIVE
served (queue) AS (
    SELECT value FROM json_each(:queues)
    UNION ALL
    SELECT min(queue) FROM headbox_tasks WHERE {ready} AND :queues IS NULL
    UNION
    SELECT (SELECT min(queue) FROM headbox_tasks WHERE {ready} AND queue > served.queue)
    FROM served WHERE :queues IS NULL AND served.queue IS NOT NULL
),
level (queue, priority) AS (
    SELECT queue, (SELECT max(priority) FROM headbox_tasks WHERE {ready} AND queue = served.queue)
    FROM served WHERE queue IS NOT NULL
    UNION ALL
    SELECT queue, (SELECT max(priority) FROM headbox_tasks
                   WHERE {ready} AND queue = level.queue AND priority < level.priority)
    FROM level WHERE priority IS NOT NULL
)
SELECT queue, priority, (SELECT min(due_time) FROM headbox_tasks
                         WHERE {ready} AND queue = level.queue AND priority = level.priority)
FROM level WHERE priority IS NOT NULL ORDER BY priority DESC, queue

-- claim --
-- Marks up to `limit` ready tasks of one queue and priority running for a worker, the longest due first.
UPDATE headbox_tasks SET state = 'running', worker = :worker, claimed_state = state,
    snapshot_id = lower(hex(randomblob(16)))
WHERE id IN (
    SELECT id FROM (
        SELECT id, weight, callable FROM headbox_tasks
        WHERE {ready} AND queue = :queue AND priority = :priority AND due_time <= :now
        ORDER BY due_time, id LIMIT :limit + {lookahead})
    WHERE weight <= :max_weight AND callable NOT IN (SELECT value FROM json_each(:exclude))
        AND (:only IS NULL OR callable IN (SELECT value FROM json_each(:only)))
    LIMIT :limit)
RETURNING {fields}

-- passed_over --
-- The most urgent ready task of one queue and priority that is too heavy for the moment.
SELECT id, weight FROM (
    SELECT id, weight, callable FROM headbox_tasks
    WHERE {ready} AND queue = :queue AND priority = :priority AND due_time <= :now
    ORDER BY due_time, id LIMIT {lookahead})
WHERE weight > :max_weight AND callable NOT IN (SELECT value FROM json_each(:exclude)) LIMIT 1

-- next_due --
-- When the next task of one queue and priority is due.
SELECT min(due_time) FROM headbox_tasks
WHERE {ready} AND queue = :queue AND priority = :priority AND due_time > :now
