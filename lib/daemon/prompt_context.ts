/** What a prompt says besides the wish and the issue: the workspace, the project, who asks, who else is at work. Pure. */
import type { ClaimedTask, ProjectResource } from "../wire/claim.ts";
import { line, list, type Part, quoted, section } from "./prompt_text.ts";

const LIMIT = { workspace: 16 * 1024, project: 8 * 1024, profile: 2 * 1024, resource: 1024 } as const;
const MAX_ROWS = 30;

export function contextParts(task: ClaimedTask): Part[] {
  return [
    leader(task),
    section("The workspace", quoted("workspace", task.workspace_context, LIMIT.workspace)),
    section(
      `The project${task.project_title ? ` "${line(task.project_title)}"` : ""}`,
      quoted("project", task.project_description, LIMIT.project),
      rows(task.project_resources.map(resource)),
    ),
    repositories(task),
    statuses(task),
    siblings(task),
    person(task),
    section(
      "Apps of the team that cannot be reached from here",
      rows(task.connected_apps.map(({ provider, toolkit_name }) => line(toolkit_name || provider))),
    ),
  ];
}

function rows(items: readonly string[]): Part {
  const told = items.filter((item) => item !== "");
  if (told.length === 0) return undefined;
  const left = told.length - MAX_ROWS;
  return list(left > 0 ? [...told.slice(0, MAX_ROWS), `and ${left} more`] : told);
}

function leader({ is_leader_task, squad_name }: ClaimedTask): Part {
  if (!is_leader_task) return undefined;
  const squad = squad_name ? `the squad "${line(squad_name)}"` : "its squad";
  return `You lead ${squad} in this: see to it that the work gets done, by others of the squad where they know it better.`;
}

function resource({ resource_type, resource_ref, label }: ProjectResource): string {
  const { local_path, daemon_id: _id, execution_mode: _mode, ...rest } = resource_ref;
  const what = resource_type === "local_directory" ? { local_path } : rest;
  const values = Object.values(what).filter((value) => typeof value === "string" && value !== "");
  return line([label, resource_type, ...values].filter(Boolean).join(" · "), LIMIT.resource);
}

function repositories({ repos }: ClaimedTask): Part {
  return section(
    "Repositories",
    rows(
      repos.map(({ url, description, ref }) =>
        [line(url), ref ? `at ${line(ref)}` : "", description ? `— ${line(description)}` : ""].filter(Boolean).join(" ")
      ),
    ),
    repos.length > 0
      ? "`drover repo checkout URL` puts a working copy of one into your directory, on a branch of its own."
      : undefined,
  );
}

function statuses({ issue_statuses, issue_statuses_omitted: omitted }: ClaimedTask): Part {
  return section(
    "Statuses that an issue can have here",
    rows(
      issue_statuses.map(({ key, name, description }) =>
        [`\`${line(key)}\``, name && name !== key ? line(name) : "", description ? `— ${line(description)}` : ""]
          .filter(Boolean).join(" ")
      ),
    ),
    omitted > 0 ? `(${omitted} more are not listed.)` : undefined,
  );
}

/** Their shape is not settled: what says who and what is taken, whatever else there is. */
const SIBLING_FIELDS = ["agent_name", "thread_name", "issue_identifier", "issue_title", "title", "status"] as const;

function siblings({ active_sibling_runs: runs }: ClaimedTask): Part {
  return section(
    "At work beside you at this moment; do not do their work",
    rows(runs.map((run) => {
      const values = SIBLING_FIELDS.map((field) => run[field]).filter((value) => typeof value === "string" && value);
      return line(values.join(" · ")) || "another run";
    })),
  );
}

function person(task: ClaimedTask): Part {
  const { requesting_user_name: name, requesting_user_profile_description: profile } = task;
  if (name === "" && profile === "") return undefined;
  return section("Who asks for it", line(name), quoted("profile", profile, LIMIT.profile));
}
