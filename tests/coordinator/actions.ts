/** The actions of timelines: each a call of a daemon or a user, and its answer in a word. */
import type { Action, Answer, World } from "./world.ts";

type Fields = Record<string, unknown>;

function action(label: string, run: Action["run"]): Action {
  return { label, run };
}

/** The status of the task in a good answer; else the HTTP status. */
function word({ status, body }: Answer): unknown {
  return status === 200 || status === 201 ? body.status : status;
}

/** Queues a task and calls it `alias`: its status, or the code of the refusal. */
export function submit(alias: string, fields: Fields & { resume?: string } = {}): Action {
  return action(`submit(${alias})`, async (world) => {
    const resume = fields.resume === undefined ? {} : { resume: await world.id(fields.resume) };
    const request = { prompt: `Do ${alias}`, directory: { mode: "scratch" }, permission: "full", ...fields, ...resume };
    const answer = await world.user("/v1/tasks", request);
    if (answer.status !== 201) return answer.body.error.code;
    world.name(alias, answer.body.id);
    return answer.body.status;
  });
}

async function handedOut(world: World, tasks: readonly { id: string }[]): Promise<string[]> {
  const aliases = [];
  for (const task of tasks) {
    world.claims.set(task.id, task);
    aliases.push(await world.aliasOf(task.id));
  }
  return aliases;
}

/** A batch claim for these providers' runtimes, in this order: the names of the tasks. */
export function claim(max = 1, providers: readonly string[] = ["claude"], fields: Fields = {}): Action {
  return action(`claim(${max}, ${providers})`, async (world) => {
    const runtime_ids = providers.map((provider) => world.runtime(provider));
    const body = { daemon_id: "d1", runtime_ids, max_tasks: max, ...fields };
    const answer = await world.daemon("/api/daemon/tasks/claim", body);
    return answer.status === 200 ? await handedOut(world, answer.body.tasks) : answer.status;
  });
}

/** A single claim: the name of the task, or null. */
export function claimOne(provider = "claude"): Action {
  return action(`claimOne(${provider})`, async (world) => {
    const answer = await world.daemon(`/api/daemon/runtimes/${world.runtime(provider)}/tasks/claim`, {});
    if (answer.status !== 200) return answer.body.error;
    return answer.body.task && (await handedOut(world, [answer.body.task]))[0];
  });
}

function move(verb: string, alias: string, fields: Fields = {}): Action {
  return action(`${verb}(${alias})`, async (world) => {
    return word(await world.daemon(`/api/daemon/tasks/${await world.id(alias)}/${verb}`, fields));
  });
}

export function start(alias: string): Action {
  return move("start", alias);
}

export function complete(alias: string, fields: Fields = {}): Action {
  return move("complete", alias, { output: `${alias} is done`, ...fields });
}

export function fail(alias: string, failure_reason: string, fields: Fields = {}): Action {
  return move("fail", alias, { error: "it broke", failure_reason, ...fields });
}

export function wait(alias: string, reason = "held by another task"): Action {
  return move("wait-local-directory", alias, { reason });
}

/** The status, or the HTTP status of a refusal. */
export function lease(alias: string, provider = "claude"): Action {
  return action(`lease(${alias})`, async (world) => {
    const path = `/api/daemon/runtimes/${world.runtime(provider)}/tasks/${await world.id(alias)}/prepare-lease`;
    return word(await world.daemon(path, {}));
  });
}

/** The HTTP status. */
export function pin(alias: string, fields: Fields): Action {
  return action(`pin(${alias})`, async (world) => {
    return (await world.daemon(`/api/daemon/tasks/${await world.id(alias)}/session`, fields)).status;
  });
}

/** The HTTP status. */
export function ack(alias: string, fields: Fields | string = {}): Action {
  return action(`ack(${alias})`, async (world) => {
    return (await world.daemon(`/api/daemon/tasks/${await world.id(alias)}/cancel-ack`, fields)).status;
  });
}

export function cancel(alias: string): Action {
  return action(`cancel(${alias})`, async (world) => {
    return word(await world.user(`/v1/tasks/${await world.id(alias)}/cancel`, {}));
  });
}

/** As a daemon polls it; `none` when there is no such task, as with an attempt that was not made. */
export function status(alias: string): Action {
  return action(`status(${alias})`, async (world) => {
    const id = await world.findId(alias);
    return id === undefined ? "none" : word(await world.daemon(`/api/daemon/tasks/${id}/status`));
  });
}

/** Some fields of the task as users see it. */
export function view(alias: string, ...fields: string[]): Action {
  return action(`view(${alias})`, async (world) => {
    const task: Fields = { ...await world.viewOf(await world.id(alias)) };
    return fields.length === 1 ? task[fields[0] ?? ""] : fields.map((field) => task[field]);
  });
}

/** Session and directory offered with the task's last claim. */
export function offered(alias: string): Action {
  return action(`offered(${alias})`, async (world) => {
    const task = world.claims.get(await world.id(alias));
    return [task.prior_session_id ?? null, task.prior_work_dir ?? null];
  });
}

export function recover(provider = "claude"): Action {
  return action(`recover(${provider})`, async (world) => {
    return (await world.daemon(`/api/daemon/runtimes/${world.runtime(provider)}/recover-orphans`, {})).body;
  });
}

export function sweep(): Action {
  return action("sweep()", (world) => world.coordinator.sweep());
}

/** The daemon beats no more, though time passes. */
export function fallSilent(): Action {
  return action("fallSilent()", (world) => Promise.resolve(world.beating = false));
}

export function comeBack(): Action {
  return action("comeBack()", async (world) => {
    world.beating = true;
    await world.beat();
  });
}

export function deregister(provider = "claude"): Action {
  return action(`deregister(${provider})`, async (world) => {
    return (await world.daemon("/api/daemon/deregister", { runtime_ids: [world.runtime(provider)] })).status;
  });
}

/** Whether the runtime is `online` or `offline`, or `forgotten`. */
export function runtimeState(provider = "claude"): Action {
  return action(`runtimeState(${provider})`, async (world) => {
    const { body } = await world.user("/v1/agents");
    return body.agents.find((agent: { provider: string }) => agent.provider === provider)?.status ?? "forgotten";
  });
}

export function purge(): Action {
  return action("purge()", (world) => world.coordinator.purge(world.clock.now()));
}
