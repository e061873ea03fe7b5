/** The schema for PostgreSQL, step by step the same as in `migrations.ts`: the table `drover_schema` says how many have been applied. */

/**
 * Text is compared byte by byte, as in SQLite, whatever the language of the database. `rowid` is what SQLite has by itself:
 * the order in which rows came.
 */
export const POSTGRES_MIGRATIONS: readonly string[] = [
  `
CREATE TABLE meta (
  key TEXT COLLATE "C" PRIMARY KEY,
  value TEXT COLLATE "C" NOT NULL
);

CREATE TABLE runtimes (
  id TEXT COLLATE "C" PRIMARY KEY,
  daemon_id TEXT COLLATE "C" NOT NULL,
  provider TEXT COLLATE "C" NOT NULL,
  profile_id TEXT COLLATE "C",
  name TEXT COLLATE "C" NOT NULL,
  version TEXT COLLATE "C" NOT NULL,
  device_name TEXT COLLATE "C" NOT NULL,
  position BIGINT NOT NULL,
  status TEXT COLLATE "C" NOT NULL CHECK (status IN ('online', 'offline')),
  last_seen_at BIGINT NOT NULL,
  created_at BIGINT NOT NULL,
  updated_at BIGINT NOT NULL
);
CREATE UNIQUE INDEX runtimes_builtin ON runtimes (daemon_id, provider) WHERE profile_id IS NULL;
CREATE UNIQUE INDEX runtimes_profile ON runtimes (daemon_id, profile_id) WHERE profile_id IS NOT NULL;

CREATE TABLE agents (
  id TEXT COLLATE "C" PRIMARY KEY,
  runtime_id TEXT COLLATE "C" NOT NULL UNIQUE REFERENCES runtimes (id) ON DELETE CASCADE,
  name TEXT COLLATE "C" NOT NULL,
  max_concurrent_tasks BIGINT NOT NULL DEFAULT 6 CHECK (max_concurrent_tasks BETWEEN 1 AND 50)
);

CREATE TABLE threads (
  id TEXT COLLATE "C" PRIMARY KEY,
  title TEXT COLLATE "C" NOT NULL,
  created_at BIGINT NOT NULL
);

CREATE TABLE tasks (
  rowid BIGINT GENERATED ALWAYS AS IDENTITY,
  id TEXT COLLATE "C" PRIMARY KEY,
  thread_id TEXT COLLATE "C" NOT NULL REFERENCES threads (id),
  agent_id TEXT COLLATE "C" NOT NULL REFERENCES agents (id),
  runtime_id TEXT COLLATE "C" NOT NULL REFERENCES runtimes (id),
  status TEXT COLLATE "C" NOT NULL CHECK (status IN (
    'queued', 'deferred', 'dispatched', 'waiting_local_directory', 'running', 'completed', 'failed', 'cancelled'
  )),
  priority BIGINT NOT NULL,
  prompt TEXT COLLATE "C" NOT NULL,
  directory_mode TEXT COLLATE "C" NOT NULL,
  directory_path TEXT COLLATE "C",
  permission TEXT COLLATE "C" NOT NULL,
  model TEXT COLLATE "C",
  time_limit_ms BIGINT,
  submitted_to TEXT COLLATE "C",
  attempt BIGINT NOT NULL DEFAULT 1,
  max_attempts BIGINT NOT NULL DEFAULT 2,
  retry_of TEXT COLLATE "C" REFERENCES tasks (id) ON DELETE SET NULL,
  retry_reason TEXT COLLATE "C",
  force_fresh_session BIGINT NOT NULL DEFAULT 0,
  session_id TEXT COLLATE "C",
  work_dir TEXT COLLATE "C",
  branch_name TEXT COLLATE "C",
  durable_work_dir TEXT COLLATE "C",
  retired_session_id TEXT COLLATE "C",
  output TEXT COLLATE "C",
  pr_url TEXT COLLATE "C",
  error TEXT COLLATE "C",
  failure_reason TEXT COLLATE "C",
  wait_reason TEXT COLLATE "C",
  lease_expires_at BIGINT,
  fire_at BIGINT,
  created_at BIGINT NOT NULL,
  dispatched_at BIGINT,
  started_at BIGINT,
  completed_at BIGINT
);
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
  task_id TEXT COLLATE "C" NOT NULL REFERENCES tasks (id) ON DELETE CASCADE,
  seq BIGINT NOT NULL,
  type TEXT COLLATE "C" NOT NULL,
  tool TEXT COLLATE "C",
  content TEXT COLLATE "C",
  input TEXT COLLATE "C",
  output TEXT COLLATE "C",
  call_id TEXT COLLATE "C",
  created_at BIGINT NOT NULL,
  PRIMARY KEY (task_id, seq)
);

CREATE TABLE usage (
  task_id TEXT COLLATE "C" NOT NULL REFERENCES tasks (id) ON DELETE CASCADE,
  provider TEXT COLLATE "C" NOT NULL,
  model TEXT COLLATE "C" NOT NULL,
  input_tokens BIGINT NOT NULL,
  output_tokens BIGINT NOT NULL,
  cache_read_tokens BIGINT NOT NULL,
  cache_write_tokens BIGINT NOT NULL,
  cost_usd_ticks BIGINT NOT NULL,
  PRIMARY KEY (task_id, provider, model)
);
`,
  `
CREATE TABLE runtime_profiles (
  rowid BIGINT GENERATED ALWAYS AS IDENTITY,
  id TEXT COLLATE "C" PRIMARY KEY,
  display_name TEXT COLLATE "C" NOT NULL UNIQUE,
  provider TEXT COLLATE "C" NOT NULL,
  command_name TEXT COLLATE "C" NOT NULL,
  description TEXT COLLATE "C",
  fixed_args TEXT COLLATE "C" NOT NULL,
  env TEXT COLLATE "C" NOT NULL,
  visibility TEXT COLLATE "C" NOT NULL,
  enabled BIGINT NOT NULL,
  created_at BIGINT NOT NULL,
  updated_at BIGINT NOT NULL
);
ALTER TABLE runtimes ADD COLUMN removed_at BIGINT;
`,
  `
ALTER TABLE tasks ADD COLUMN effort TEXT COLLATE "C";
ALTER TABLE tasks ADD COLUMN sandbox BIGINT NOT NULL DEFAULT 0;
`,
  `
ALTER TABLE tasks ADD COLUMN brings TEXT COLLATE "C";
`,
  `
CREATE TABLE daily_usage (
  runtime_id TEXT COLLATE "C" NOT NULL REFERENCES runtimes (id) ON DELETE CASCADE,
  date TEXT COLLATE "C" NOT NULL,
  provider TEXT COLLATE "C" NOT NULL,
  model TEXT COLLATE "C" NOT NULL,
  input_tokens BIGINT NOT NULL,
  output_tokens BIGINT NOT NULL,
  cache_read_tokens BIGINT NOT NULL,
  cache_write_tokens BIGINT NOT NULL,
  PRIMARY KEY (runtime_id, date, provider, model)
);
CREATE INDEX daily_usage_date ON daily_usage (date);
`,
  `
CREATE TABLE workspaces (
  id TEXT COLLATE "C" PRIMARY KEY,
  name TEXT COLLATE "C" NOT NULL UNIQUE,
  created_at BIGINT NOT NULL,
  issues BIGINT NOT NULL DEFAULT 0
);
INSERT INTO workspaces (id, name, created_at) SELECT value, 'local', 0 FROM meta WHERE key = 'workspace_id';

CREATE TABLE users (
  id TEXT COLLATE "C" PRIMARY KEY,
  name TEXT COLLATE "C" NOT NULL UNIQUE,
  created_at BIGINT NOT NULL
);

CREATE TABLE members (
  workspace_id TEXT COLLATE "C" NOT NULL REFERENCES workspaces (id) ON DELETE CASCADE,
  user_id TEXT COLLATE "C" NOT NULL REFERENCES users (id) ON DELETE CASCADE,
  PRIMARY KEY (workspace_id, user_id)
);
CREATE INDEX members_user ON members (user_id);

ALTER TABLE runtimes ADD COLUMN workspace_id TEXT COLLATE "C" NOT NULL DEFAULT '';
ALTER TABLE runtimes ADD COLUMN owner_id TEXT COLLATE "C";
ALTER TABLE runtimes ADD COLUMN metadata TEXT COLLATE "C" NOT NULL DEFAULT '{}';
UPDATE runtimes SET workspace_id = (SELECT value FROM meta WHERE key = 'workspace_id');
DROP INDEX runtimes_builtin;
DROP INDEX runtimes_profile;
CREATE UNIQUE INDEX runtimes_builtin ON runtimes (workspace_id, daemon_id, provider)
  WHERE profile_id IS NULL AND removed_at IS NULL;
CREATE UNIQUE INDEX runtimes_profile ON runtimes (workspace_id, daemon_id, profile_id)
  WHERE profile_id IS NOT NULL AND removed_at IS NULL;

ALTER TABLE threads ADD COLUMN workspace_id TEXT COLLATE "C" NOT NULL DEFAULT '';
ALTER TABLE threads ADD COLUMN description TEXT COLLATE "C" NOT NULL DEFAULT '';
ALTER TABLE threads ADD COLUMN status TEXT COLLATE "C" NOT NULL DEFAULT 'in_progress';
ALTER TABLE threads ADD COLUMN updated_at BIGINT NOT NULL DEFAULT 0;
ALTER TABLE threads ADD COLUMN number BIGINT;
ALTER TABLE threads ADD COLUMN priority BIGINT NOT NULL DEFAULT 0;
ALTER TABLE threads ADD COLUMN agent_id TEXT COLLATE "C";
UPDATE threads SET workspace_id = (SELECT value FROM meta WHERE key = 'workspace_id'), updated_at = created_at;
CREATE INDEX threads_workspace ON threads (workspace_id, created_at);

ALTER TABLE tasks ADD COLUMN workspace_id TEXT COLLATE "C" NOT NULL DEFAULT '';
ALTER TABLE tasks ADD COLUMN kind TEXT COLLATE "C" NOT NULL DEFAULT 'direct';
UPDATE tasks SET workspace_id = (SELECT value FROM meta WHERE key = 'workspace_id');
DROP INDEX tasks_created;
CREATE INDEX tasks_created ON tasks (workspace_id, created_at);

CREATE TABLE comments (
  rowid BIGINT GENERATED ALWAYS AS IDENTITY,
  id TEXT COLLATE "C" PRIMARY KEY,
  thread_id TEXT COLLATE "C" NOT NULL REFERENCES threads (id) ON DELETE CASCADE,
  author_type TEXT COLLATE "C" NOT NULL CHECK (author_type IN ('member', 'agent', 'system')),
  author_id TEXT COLLATE "C",
  content TEXT COLLATE "C" NOT NULL,
  task_id TEXT COLLATE "C",
  created_at BIGINT NOT NULL
);
CREATE INDEX comments_thread ON comments (thread_id, created_at);

CREATE TABLE tokens (
  id TEXT COLLATE "C" PRIMARY KEY,
  hash TEXT COLLATE "C" NOT NULL UNIQUE,
  scope TEXT COLLATE "C" NOT NULL CHECK (scope IN ('user', 'daemon', 'task')),
  name TEXT COLLATE "C" NOT NULL,
  user_id TEXT COLLATE "C" REFERENCES users (id) ON DELETE CASCADE,
  workspace_id TEXT COLLATE "C" REFERENCES workspaces (id) ON DELETE CASCADE,
  daemon_id TEXT COLLATE "C",
  task_id TEXT COLLATE "C" REFERENCES tasks (id) ON DELETE CASCADE,
  created_at BIGINT NOT NULL,
  expires_at BIGINT,
  used_at BIGINT,
  revoked_at BIGINT
);
CREATE INDEX tokens_task ON tokens (task_id) WHERE task_id IS NOT NULL;
CREATE INDEX tokens_expiry ON tokens (expires_at) WHERE expires_at IS NOT NULL;

CREATE TABLE requests (
  rowid BIGINT GENERATED ALWAYS AS IDENTITY,
  id TEXT COLLATE "C" PRIMARY KEY,
  runtime_id TEXT COLLATE "C" NOT NULL REFERENCES runtimes (id) ON DELETE CASCADE,
  kind TEXT COLLATE "C" NOT NULL,
  status TEXT COLLATE "C" NOT NULL CHECK (status IN ('pending', 'running', 'completed', 'failed', 'timeout')),
  input TEXT COLLATE "C" NOT NULL,
  result TEXT COLLATE "C",
  created_at BIGINT NOT NULL,
  handed_at BIGINT,
  ended_at BIGINT
);
CREATE INDEX requests_pending ON requests (runtime_id, created_at) WHERE status = 'pending';
CREATE INDEX requests_created ON requests (created_at);

ALTER TABLE agents DROP CONSTRAINT agents_runtime_id_key;
ALTER TABLE agents ADD COLUMN own BIGINT NOT NULL DEFAULT 1;
ALTER TABLE agents ADD COLUMN instructions TEXT COLLATE "C" NOT NULL DEFAULT '';
ALTER TABLE agents ADD COLUMN model TEXT COLLATE "C" NOT NULL DEFAULT '';
CREATE UNIQUE INDEX agents_own ON agents (runtime_id) WHERE own = 1;
CREATE INDEX agents_runtime ON agents (runtime_id);
CREATE INDEX agents_name ON agents (name);

ALTER TABLE runtime_profiles DROP CONSTRAINT runtime_profiles_display_name_key;
ALTER TABLE runtime_profiles ADD COLUMN workspace_id TEXT COLLATE "C" NOT NULL DEFAULT '';
UPDATE runtime_profiles SET workspace_id = (SELECT value FROM meta WHERE key = 'workspace_id');
CREATE UNIQUE INDEX runtime_profiles_name ON runtime_profiles (workspace_id, display_name);
`,
];
