-- The catalogue as somebody would lay it out who serves it with PostGraphile: what Q1 to Q4 show,
-- keys of one column, actions in their job's list, and the indexes that the requests need.

CREATE SCHEMA peer;

CREATE TABLE peer.jobs AS
SELECT id, project_id, description, schedule_interval, schedule_start_date, schedule_end_date,
       status, result, event, to_timestamp(time_created) AS time_created,
       to_timestamp(time_started) AS time_started
FROM public.jobs;
ALTER TABLE peer.jobs ADD PRIMARY KEY (id), ALTER project_id SET NOT NULL,
  ALTER description SET NOT NULL;
CREATE INDEX ON peer.jobs (project_id, description, id);

CREATE TABLE peer.actions AS
SELECT id, job_id, position, max_retries::int, max_retries_interval::int, user_id,
       freezer_action
FROM public.actions JOIN public.job_actions USING (project_id) WHERE id = action_id;
ALTER TABLE peer.actions ADD PRIMARY KEY (id), ALTER job_id SET NOT NULL,
  ADD FOREIGN KEY (job_id) REFERENCES peer.jobs;
CREATE INDEX ON peer.actions (job_id, position);

CREATE TABLE peer.backups AS
SELECT id, project_id, status, backup_name, hostname, container, mode, storage, level::int,
       to_timestamp(time_stamp) AS time_stamp, compressed_size, uncompressed_size, job_id,
       backup_metadata AS metadata
FROM public.backups;
ALTER TABLE peer.backups ADD PRIMARY KEY (id), ALTER project_id SET NOT NULL,
  ALTER backup_name SET NOT NULL, ALTER time_stamp SET NOT NULL;
CREATE INDEX ON peer.backups (project_id, backup_name, time_stamp, id);

VACUUM ANALYZE;
