/** The service of the home as `drover doctor` sees it: installed, up to date, taken up by the service manager, and at work. */
import { type Finding, ok, problem, type Scene, warning } from "./doctor_check.ts";
import { serviceStatus } from "./service.ts";

const INSTALL = "drover service install writes it anew";

export async function checkService({ host, home, hello, record }: Scene): Promise<Finding | readonly Finding[]> {
  const { service, installed, state, unitOutdated, lingers } = await serviceStatus(host, home);
  if (!installed) return ok("none installed");
  const { label, file, kind } = service;
  const found: Finding[] = [];
  if (unitOutdated) found.push(warning(`${file} is not what this drover would write`, INSTALL));
  if (state.kind === "unreachable") {
    found.push(
      warning(`${label} is installed, and ${kind} cannot be asked: ${state.why}`, "log in, or look at it there"),
    );
    return found;
  }
  if (state.activity === "failed" || state.activity === "failing") {
    found.push(problem(`${label} fails: ${state.why}`, `look at ${home.logFile} and ${home.launchLog}`));
  }
  if (!state.enabled) found.push(warning(`${label} is installed, and not started at login`, INSTALL));
  else if (hello?.mode === "daemon" && record?.launch.supervisor === "none") {
    found.push(warning("the daemon that runs was not started by its service", "drover restart hands it over"));
  }
  if (found.length > 0) return found;
  const after = lingers === false ? "; it ends when you log out" : "";
  return ok(`${label} is ${state.activity}${after}`, [file]);
}
