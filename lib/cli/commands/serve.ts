/** `drover serve`: a team server in the foreground, until it is told to stop. */
import type { ListenPlace, TeamServer } from "../../app/serve.ts";
import type { ServerPlace } from "../../app/serve_place.ts";
import { BUILD } from "../../core/build_info.ts";
import { DroverError } from "../../core/drover_error.ts";
import { SETTINGS } from "../../core/config.ts";
import type { Command, CommandContext, OptionSpec } from "../command.ts";
import { EXIT_CODES } from "../exit_code.ts";
import { paint } from "../output.ts";

/** No service is registered for it. */
const PORT = 4630;
const RETENTION_DAYS = 30;
const MAX_DAYS = 3_650;
/** Whoever sent the signal waits, and a database that does not answer must not hold it up. */
const END_MS = 4_500;

/** For every verb that works on a server's own data. */
export const PLACE_OPTIONS: readonly OptionSpec[] = [
  { name: "data", value: "DIR", summary: "the server's own directory (default: server in the home)" },
  {
    name: "database",
    value: "DATABASE",
    summary: "env:VARIABLE or postgres://USER@HOST/NAME for PostgreSQL, or another SQLite file",
  },
];

export const serve: Command = {
  name: "serve",
  options: [
    { name: "listen", value: "HOST:PORT", summary: `where to listen (default 127.0.0.1:${PORT}; port 0: a free one)` },
    ...PLACE_OPTIONS,
    {
      name: "retention",
      value: "DAYS",
      summary: `remove messages of tasks that ended so long ago (default ${RETENTION_DAYS}; 0: never)`,
    },
    { name: "log-level", value: "LEVEL", summary: "debug, info, warning or error (default info)" },
    { name: "quiet", short: "q", summary: "log to the file only" },
  ],
  details: `
Serves tasks, agents and users of several machines: daemons of drover and others that speak the Multica daemon
protocol log in with a token of drover token create. Its data are in a directory of its own, with the log; tasks, their
outcomes and their usage stay, what agents said goes after --retention. Several servers can share a PostgreSQL
database; its address with a password belongs into a variable: --database env:NAME, or the variable DROVER_DATABASE.

It speaks plain HTTP: beyond this machine put a reverse proxy with TLS in front of it. Ctrl-C (or SIGTERM) ends it
within 5 seconds; tasks go on at their daemons, and report when it is back.`,
  examples: [
    ["drover serve", `on 127.0.0.1:${PORT}`],
    ["drover token create ann", "in another terminal: what ann logs in with"],
    ["drover serve --listen 0.0.0.0:4630 --data /srv/drover", "for others, too, once there is a token"],
  ],
  run: runServer,
};

async function runServer(context: CommandContext): Promise<number> {
  const { host, args } = context;
  const listen = listenPlaceOf(args.values.listen);
  const retentionDays = daysOf("retention", args.values.retention, { min: 0 }) ?? RETENTION_DAYS;
  const place = await placeOf(context);
  const ladder = Promise.withResolvers<"end">();
  const left = Promise.withResolvers<"left">();
  let asked = 0;
  const log = host.logs.getLogger("serve");
  using _signals = host.signals.on(["SIGINT", "SIGTERM"], (name) => {
    log.info("asked to end", { by: name, time: ++asked });
    if (asked === 1) ladder.resolve("end");
    else left.resolve("left");
  });
  // A closed terminal is no reason to end: whoever wants that sends SIGTERM.
  using _terminal = host.signals.on(["SIGHUP"], () => log.info("the terminal is closed", { by: "SIGHUP" }));
  const { openServer } = await import("../../app/serve.ts");
  const server = await openServer(host, {
    listen,
    place,
    retentionDays,
    logLevel: levelOf(context),
    logToStderr: !args.switches.has("quiet"),
  });
  announce(context, { server, place, retentionDays });
  const lost = server.lost.then(() => "lost" as const);
  const why = await Promise.race([ladder.promise, lost]);
  const late = host.clock.sleep(END_MS).then(() => "late" as const);
  const ended = await Promise.race([server.close(), left.promise, late]);
  if (ended === "left") return EXIT_CODES.interrupted.code;
  return why === "lost" ? EXIT_CODES.unexpected.code : EXIT_CODES.ok.code;
}

/** Where the server of these options keeps its data. Throws `usage`. */
export async function placeOf({ host, home, args }: CommandContext): Promise<ServerPlace> {
  const { serverPlace } = await import("../../app/serve_place.ts");
  return serverPlace(host, home, { data: args.values.data, database: args.values.database });
}

/** `HOST:PORT`, `[ADDRESS]:PORT` or a port of this machine alone. */
function listenPlaceOf(text: string | undefined): ListenPlace {
  if (text === undefined) return { hostname: "127.0.0.1", port: PORT };
  const [, bracketed, plain, digits] = /^(?:(?:\[([0-9a-fA-F:.]+)\]|([\w.-]+)):)?(\d{1,5})$/.exec(text) ?? [];
  const port = Number(digits);
  if (digits !== undefined && port <= 65_535) return { hostname: bracketed ?? plain ?? "127.0.0.1", port };
  throw new DroverError("usage", `Cannot use --listen ${text}: it must be HOST:PORT, such as 127.0.0.1:${PORT}`, {
    hint: "0.0.0.0:PORT listens on every address of this machine",
  });
}

/** A whole number of days; `undefined` where none was given. Throws `usage`. */
export function daysOf(name: string, text: string | undefined, { min }: { min: number }): number | undefined {
  if (text === undefined) return undefined;
  const days = Number(text);
  if (/^\d+$/.test(text) && days >= min && days <= MAX_DAYS) return days;
  throw new DroverError(
    "usage",
    `Cannot use --${name} ${text}: it must be a whole number of days, ${min} to ${MAX_DAYS}`,
  );
}

function levelOf({ host, args }: CommandContext): "debug" | "info" | "warning" | "error" {
  const row = SETTINGS.logLevel;
  const text = args.values["log-level"] ?? host.system.env[row.variable];
  const level = text === undefined ? row.fallback : row.parse(text);
  if (level !== undefined) return level;
  throw new DroverError("usage", `Cannot use the log level ${text}: it must be ${row.range}`);
}

function announce(
  { host, output }: CommandContext,
  { server, place, retentionDays }: { server: TeamServer; place: ServerPlace; retentionDays: number },
): void {
  const { pid } = host.system.self();
  const { url, port, hasToken, isOpen, ownsLog } = server;
  const { directory, databaseName: database } = place;
  const log = ownsLog ? place.logFile : null;
  const facts = { version: BUILD.version, pid, url, port, data: directory, database, log, retentionDays, hasToken };
  output.result({ status: "running", ...facts }, () => {
    output.line(`drover ${BUILD.version} serves ${url} (pid ${pid}, database ${database}); ctrl-C stops it`);
    output.line(`log: ${log ?? "here only, another server writes the file of this directory"}`);
    if (isOpen) {
      output.line(paint.yellow("plain HTTP beyond this machine: put a reverse proxy with TLS in front of it"));
    }
    if (!hasToken) output.line(`next: drover token create NAME${place.options}`);
    output.line(
      `on each machine: drover login --server ${isOpen ? "https://…" : url} --token -, then drover enable remote`,
    );
  });
}
