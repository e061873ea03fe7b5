/** The schema for SQLite as numbered steps: the file's `user_version` is how many have been applied. Steps are only ever added, here and for PostgreSQL. */

/**
 * The oldest schema whose programs can work with what these steps make: a release that is taken back leaves its database to
 * the one before. Such a step only adds tables, and columns with a default. One that does more raises this to its own number.
 */
export const READABLE_BY = 6;
export const READABLE_KEY = "readable_by";

/**
 * A step that has been released is never edited, so it spells out what it needs instead of importing it. Times are ms
 * since 1970. Partial indexes keep the hot questions (what is next, what is in flight) as small as their
 * answer, whatever the length of the history; a query uses one only if it repeats the index's condition literally.
 */
export const MIGRATIONS: readonly string[] = [
  `
CREATE TABLE meta (
  key TEXT PRIMARY KEY,
  value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE runtimes (
  id TEXT PRIMARY KEY,
  daemon_id TEXT NOT NULL,
  provider TEXT NOT NULL,
  profile_id TEXT,
  name TEXT NOT NULL,
  version TEXT NOT NULL,
  device_name TEXT NOT NULL,
  position INTEGER NOT NULL,
  status TEXT NOT NULL CHECK (status IN ('online', 'offline')),
  last_seen_at INTEGER NOT NULL,
  created_at INTEGER NOT NULL,
  updated_at INTEGER NOT NULL
) STRICT;
CREATE UNIQUE INDEX runtimes_builtin ON runtimes (daemon_id, provider) WHERE profile_id IS NULL;
CREATE UNIQUE INDEX runtimes_profile ON runtimes (daemon_id, profile_id) WHERE profile_id IS NOT NULL;

CREATE TABLE agents (
  id TEXT PRIMARY KEY,
  runtime_id TEXT NOT NULL UNIQUE REFERENCES runtimes (id) ON DELETE CASCADE,
  name TEXT NOT NULL,
  max_concurrent_tasks INTEGER NOT NULL DEFAULT 6 CHECK (max_concurrent_tasks BETWEEN 1 AND 50)
) STRICT;

CREATE TABLE threads (
  id TEXT PRIMARY KEY,
  title TEXT NOT NULL,
  created_at INTEGER NOT NULL
) STRICT;

CREATE TABLE tasks (
  id TEXT PRIMARY KEY,
  thread_id TEXT NOT NULL REFERENCES threads (id),
  agent_id TEXT NOT NULL REFERENCES agents (id),
  runtime_id TEXT NOT NULL REFERENCES runtimes (id),
  status TEXT NOT NULL CHECK (status IN (
    'queued', 'deferred', 'dispatched', 'waiting_local_directory', 'running', 'completed', 'failed', 'cancelled'
  )),
  priority INTEGER NOT NULL,
  prompt TEXT NOT NULL,
  directory_mode TEXT NOT NULL,
  directory_path TEXT,
  permission TEXT NOT NULL,
  model TEXT,
  time_limit_ms INTEGER,
  submitted_to TEXT,
  attempt INTEGER NOT NULL DEFAULT 1,
  max_attempts INTEGER NOT NULL DEFAULT 2,
  retry_of TEXT REFERENCES tasks (id) ON DELETE SET NULL,
  retry_reason TEXT,
  force_fresh_session INTEGER NOT NULL DEFAULT 0,
  session_id TEXT,
  work_dir TEXT,
  branch_name TEXT,
  durable_work_dir TEXT,
  retired_session_id TEXT,
  output TEXT,
  pr_url TEXT,
  error TEXT,
  failure_reason TEXT,
  wait_reason TEXT,
  lease_expires_at INTEGER,
  fire_at INTEGER,
  created_at INTEGER NOT NULL,
  dispatched_at INTEGER,
  started_at INTEGER,
  completed_at INTEGER
) STRICT;
CREATE UNIQUE INDEX tasks_slot ON tasks (thread_id, agent_id)
  WHERE status = 'queued' OR status = 'dispatched';
CREATE INDEX tasks_queue ON tasks (runtime_id, agent_id, priority DESC, created_at, id) WHERE status = 'queued';
CREATE INDEX tasks_deferred ON tasks (runtime_id, fire_at) WHERE status = 'deferred';
CREATE INDEX tasks_active ON tasks (agent_id, thread_id, runtime_id)
  WHERE status = 'dispatched' OR status = 'running' OR status = 'waiting_local_directory';
CREATE INDEX tasks_ended ON tasks (completed_at)
  WHERE status = 'completed' OR status = 'failed' OR status = 'cancelled';
CREATE INDEX tasks_thread ON tasks (thread_id, agent_id);
CREATE INDEX tasks_runtime ON tasks (runtime_id);
CREATE INDEX tasks_created ON tasks (created_at);
CREATE INDEX tasks_retry ON tasks (retry_of) WHERE retry_of IS NOT NULL;

CREATE TABLE messages (
  task_id TEXT NOT NULL REFERENCES tasks (id) ON DELETE CASCADE,
  seq INTEGER NOT NULL,
  type TEXT NOT NULL,
  tool TEXT,
  content TEXT,
  input TEXT,
  output TEXT,
  call_id TEXT,
  created_at INTEGER NOT NULL,
  PRIMARY KEY (task_id, seq)
) STRICT, WITHOUT ROWID;

CREATE TABLE usage (
  task_id TEXT NOT NULL REFERENCES tasks (id) ON DELETE CASCADE,
  provider TEXT NOT NULL,
  model TEXT NOT NULL,
  input_tokens INTEGER NOT NULL,
  output_tokens INTEGER NOT NULL,
  cache_read_tokens INTEGER NOT NULL,
  cache_write_tokens INTEGER NOT NULL,
  cost_usd_ticks INTEGER NOT NULL,
  PRIMARY KEY (task_id, provider, model)
) STRICT, WITHOUT ROWID;
`,
  `
CREATE TABLE runtime_profiles (
  id TEXT PRIMARY KEY,
  display_name TEXT NOT NULL UNIQUE,
  provider TEXT NOT NULL,
  command_name TEXT NOT NULL,
  description TEXT,
  fixed_args TEXT NOT NULL,
  env TEXT NOT NULL,
  visibility TEXT NOT NULL,
  enabled INTEGER NOT NULL,
  created_at INTEGER NOT NULL,
  updated_at INTEGER NOT NULL
) STRICT;
ALTER TABLE runtimes ADD COLUMN removed_at INTEGER;
`,
  `
ALTER TABLE tasks ADD COLUMN effort TEXT;
ALTER TABLE tasks ADD COLUMN sandbox INTEGER NOT NULL DEFAULT 0;
`,
  `
ALTER TABLE tasks ADD COLUMN brings TEXT;
`,
  `
CREATE TABLE daily_usage (
  runtime_id TEXT NOT NULL REFERENCES runtimes (id) ON DELETE CASCADE,
  date TEXT NOT NULL,
  provider TEXT NOT NULL,
  model TEXT NOT NULL,
  input_tokens INTEGER NOT NULL,
  output_tokens INTEGER NOT NULL,
  cache_read_tokens INTEGER NOT NULL,
  cache_write_tokens INTEGER NOT NULL,
  PRIMARY KEY (runtime_id, date, provider, model)
) STRICT, WITHOUT ROWID;
CREATE INDEX daily_usage_date ON daily_usage (date);
`,
  `
CREATE TABLE workspaces (
  id TEXT PRIMARY KEY,
  name TEXT NOT NULL UNIQUE,
  created_at INTEGER NOT NULL,
  issues INTEGER NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;
INSERT INTO workspaces (id, name, created_at) SELECT value, 'local', 0 FROM meta WHERE key = 'workspace_id';

CREATE TABLE users (
  id TEXT PRIMARY KEY,
  name TEXT NOT NULL UNIQUE,
  created_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE members (
  workspace_id TEXT NOT NULL REFERENCES workspaces (id) ON DELETE CASCADE,
  user_id TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
  PRIMARY KEY (workspace_id, user_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX members_user ON members (user_id);

ALTER TABLE runtimes ADD COLUMN workspace_id TEXT NOT NULL DEFAULT '';
ALTER TABLE runtimes ADD COLUMN owner_id TEXT;
ALTER TABLE runtimes ADD COLUMN metadata TEXT NOT NULL DEFAULT '{}';
UPDATE runtimes SET workspace_id = (SELECT value FROM meta WHERE key = 'workspace_id');
DROP INDEX runtimes_builtin;
DROP INDEX runtimes_profile;
CREATE UNIQUE INDEX runtimes_builtin ON runtimes (workspace_id, daemon_id, provider)
  WHERE profile_id IS NULL AND removed_at IS NULL;
CREATE UNIQUE INDEX runtimes_profile ON runtimes (workspace_id, daemon_id, profile_id)
  WHERE profile_id IS NOT NULL AND removed_at IS NULL;

ALTER TABLE threads ADD COLUMN workspace_id TEXT NOT NULL DEFAULT '';
ALTER TABLE threads ADD COLUMN description TEXT NOT NULL DEFAULT '';
ALTER TABLE threads ADD COLUMN status TEXT NOT NULL DEFAULT 'in_progress';
ALTER TABLE threads ADD COLUMN updated_at INTEGER NOT NULL DEFAULT 0;
ALTER TABLE threads ADD COLUMN number INTEGER;
ALTER TABLE threads ADD COLUMN priority INTEGER NOT NULL DEFAULT 0;
ALTER TABLE threads ADD COLUMN agent_id TEXT;
UPDATE threads SET workspace_id = (SELECT value FROM meta WHERE key = 'workspace_id'), updated_at = created_at;
CREATE INDEX threads_workspace ON threads (workspace_id, created_at);

ALTER TABLE tasks ADD COLUMN workspace_id TEXT NOT NULL DEFAULT '';
ALTER TABLE tasks ADD COLUMN kind TEXT NOT NULL DEFAULT 'direct';
UPDATE tasks SET workspace_id = (SELECT value FROM meta WHERE key = 'workspace_id');
DROP INDEX tasks_created;
CREATE INDEX tasks_created ON tasks (workspace_id, created_at);

CREATE TABLE comments (
  id TEXT PRIMARY KEY,
  thread_id TEXT NOT NULL REFERENCES threads (id) ON DELETE CASCADE,
  author_type TEXT NOT NULL CHECK (author_type IN ('member', 'agent', 'system')),
  author_id TEXT,
  content TEXT NOT NULL,
  task_id TEXT,
  created_at INTEGER NOT NULL
) STRICT;
CREATE INDEX comments_thread ON comments (thread_id, created_at);

CREATE TABLE tokens (
  id TEXT PRIMARY KEY,
  hash TEXT NOT NULL UNIQUE,
  scope TEXT NOT NULL CHECK (scope IN ('user', 'daemon', 'task')),
  name TEXT NOT NULL,
  user_id TEXT REFERENCES users (id) ON DELETE CASCADE,
  workspace_id TEXT REFERENCES workspaces (id) ON DELETE CASCADE,
  daemon_id TEXT,
  task_id TEXT REFERENCES tasks (id) ON DELETE CASCADE,
  created_at INTEGER NOT NULL,
  expires_at INTEGER,
  used_at INTEGER,
  revoked_at INTEGER
) STRICT;
CREATE INDEX tokens_task ON tokens (task_id) WHERE task_id IS NOT NULL;
CREATE INDEX tokens_expiry ON tokens (expires_at) WHERE expires_at IS NOT NULL;

CREATE TABLE requests (
  id TEXT PRIMARY KEY,
  runtime_id TEXT NOT NULL REFERENCES runtimes (id) ON DELETE CASCADE,
  kind TEXT NOT NULL,
  status TEXT NOT NULL CHECK (status IN ('pending', 'running', 'completed', 'failed', 'timeout')),
  input TEXT NOT NULL,
  result TEXT,
  created_at INTEGER NOT NULL,
  handed_at INTEGER,
  ended_at INTEGER
) STRICT;
CREATE INDEX requests_pending ON requests (runtime_id, created_at) WHERE status = 'pending';
CREATE INDEX requests_created ON requests (created_at);

-- Several agents may share a runtime; a name is a workspace's own. SQLite changes neither without building the table anew.
PRAGMA defer_foreign_keys = ON;
CREATE TABLE kept_agents AS SELECT id, runtime_id, name, max_concurrent_tasks FROM agents;
DROP TABLE agents;
CREATE TABLE agents (
  id TEXT PRIMARY KEY,
  runtime_id TEXT NOT NULL REFERENCES runtimes (id) ON DELETE CASCADE,
  name TEXT NOT NULL,
  max_concurrent_tasks INTEGER NOT NULL DEFAULT 6 CHECK (max_concurrent_tasks BETWEEN 1 AND 50),
  own INTEGER NOT NULL DEFAULT 1,
  instructions TEXT NOT NULL DEFAULT '',
  model TEXT NOT NULL DEFAULT ''
) STRICT;
INSERT INTO agents (id, runtime_id, name, max_concurrent_tasks) SELECT * FROM kept_agents ORDER BY rowid;
DROP TABLE kept_agents;
CREATE UNIQUE INDEX agents_own ON agents (runtime_id) WHERE own = 1;
CREATE INDEX agents_runtime ON agents (runtime_id);
CREATE INDEX agents_name ON agents (name);

CREATE TABLE kept_profiles AS SELECT * FROM runtime_profiles;
DROP TABLE runtime_profiles;
CREATE TABLE runtime_profiles (
  id TEXT PRIMARY KEY,
  display_name TEXT NOT NULL,
  provider TEXT NOT NULL,
  command_name TEXT NOT NULL,
  description TEXT,
  fixed_args TEXT NOT NULL,
  env TEXT NOT NULL,
  visibility TEXT NOT NULL,
  enabled INTEGER NOT NULL,
  created_at INTEGER NOT NULL,
  updated_at INTEGER NOT NULL,
  workspace_id TEXT NOT NULL DEFAULT ''
) STRICT;
INSERT INTO runtime_profiles
  SELECT *, (SELECT value FROM meta WHERE key = 'workspace_id') FROM kept_profiles ORDER BY rowid;
DROP TABLE kept_profiles;
CREATE UNIQUE INDEX runtime_profiles_name ON runtime_profiles (workspace_id, display_name);
`,
];
