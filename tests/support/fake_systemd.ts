/** A `systemctl`, a `systemd-run` and a `loginctl` for tests: shell scripts that keep their state in HOME, note each call, and really run the unit. */
import { join } from "@std/path";
import { placeScript } from "./program_file.ts";

/**
 * Reads the unit as a shell reads words, which for what drover writes is the same once percent signs and dollars are
 * undone. A process counts as gone when it is a zombie: here nobody may be left to reap it.
 */
const SYSTEMCTL = String.raw`
S="$HOME/fake-systemd"; U="$HOME/.config/systemd/user"; mkdir -p "$S"
echo "$*" >> "$S/calls"
[ -e "$S/unreachable" ] && { echo "Failed to connect to bus: No medium found" >&2; exit 1; }
[ "$1" = --user ] || exit 64
shift; verb=$1; shift
for word; do unit=$word; done
state="$S/$unit"
alive() {
  pid=$(cat "$state.pid" 2>/dev/null) && [ -n "$pid" ] && [ -e "/proc/$pid" ] && ! grep -q '^State:.Z' "/proc/$pid/status" 2>/dev/null
}
finish() {
  if alive; then
    kill -TERM "$pid" 2>/dev/null
    while alive; do sleep 0.05; done
  fi
  # KillMode=mixed: whoever is left in the unit goes as well, also when the daemon has ended by itself.
  for environ in $(grep -lzx "FAKE_UNIT=$unit" /proc/[0-9]*/environ 2>/dev/null); do
    grep -qzx "HOME=$HOME" "$environ" 2>/dev/null || continue
    left=$(echo "$environ" | cut -d/ -f3)
    [ "$left" = "$$" ] || kill -KILL "$left" 2>/dev/null
  done
}
begin() {
  command=$(sed -n 's/^ExecStart=//p' "$U/$unit" | sed 's/%%/%/g; s/\$\$/\\$/g')
  variables=$(sed -n 's/^Environment=//p' "$U/$unit" | sed 's/%%/%/g; s/\$/\\$/g' | tr '\n' ' ')
  eval "set -- $variables $command"
  setsid env -i HOME="$HOME" INVOCATION_ID=fake FAKE_UNIT="$unit" "$@" < /dev/null >> "$S/journal" 2>&1 &
  echo $! > "$state.pid"
  # Until it is a process of its own it would be ended as a child of this call, which a real unit is not.
  while alive && ! grep -q INVOCATION_ID=fake "/proc/$pid/environ" 2>/dev/null; do sleep 0.02; done
}
case "$verb" in
daemon-reload|reset-failed) ;;
enable) mkdir -p "$U/default.target.wants"; ln -sf "$U/$unit" "$U/default.target.wants/$unit" ;;
disable) rm -f "$U/default.target.wants/$unit" ;;
show)
  active=inactive; alive && active=active; [ -e "$state.failed" ] && active=failed
  enabled=disabled; [ -e "$U/default.target.wants/$unit" ] && enabled=enabled
  printf 'Result=%s\nExecMainStatus=%s\n' "$(cat "$state.failed" 2>/dev/null || echo success)" 0
  printf 'LoadState=loaded\nActiveState=%s\nSubState=x\nUnitFileState=%s\n' "$active" "$enabled" ;;
restart)
  finish
  if [ -e "$state.failed" ]; then echo "Job for $unit failed." >&2; exit 1; fi
  begin ;;
stop) finish ;;
*) exit 64 ;;
esac
exit 0
`;

/** A scope is no part of the unit it was made from. */
const SYSTEMD_RUN = `
[ -e "$HOME/fake-systemd/unreachable" ] && { echo "Failed to connect to bus" >&2; exit 1; }
[ "$1 $2 $3 $4" = "--user --scope --quiet --" ] || exit 64
shift 4
exec env -u FAKE_UNIT "$@"
`;

const LOGINCTL = `
[ -e "$HOME/fake-systemd/linger" ] || { echo "Failed to connect to bus" >&2; exit 1; }
echo "Linger=$(cat "$HOME/fake-systemd/linger")"
`;

const PROGRAMS = { systemctl: SYSTEMCTL, "systemd-run": SYSTEMD_RUN, loginctl: LOGINCTL };

export interface FakeSystemd {
  /** The words of each call so far. */
  calls(): Promise<string[]>;
  /** Whether there is a manager to talk to. */
  reachable(yes: boolean): Promise<void>;
  linger(answer: "yes" | "no" | "unknown"): Promise<void>;
  /** Every start of the unit fails from now on, with this result. */
  failing(unit: string, result: string | undefined): Promise<void>;
  /** What the daemons printed. */
  journal(): Promise<string>;
  /** Ends what was started, for a test that came to no end itself. */
  end(): Promise<void>;
}

/** `bin` is on PATH, `user` is HOME. */
export async function fakeSystemd({ bin, user }: { bin: string; user: string }): Promise<FakeSystemd> {
  for (const [name, body] of Object.entries(PROGRAMS)) {
    await placeScript(join(bin, name), `#!/bin/sh\n${body}`);
  }
  const state = join(user, "fake-systemd");
  await Deno.mkdir(state, { recursive: true });
  const flag = async (name: string, content: string | undefined) => {
    if (content === undefined) await Deno.remove(join(state, name)).catch(() => {});
    else await Deno.writeTextFile(join(state, name), content);
  };
  const read = (name: string) => Deno.readTextFile(join(state, name)).catch(() => "");
  return {
    calls: async () => (await read("calls")).split("\n").filter((line) => line !== ""),
    reachable: (yes) => flag("unreachable", yes ? undefined : ""),
    linger: (answer) => flag("linger", answer === "unknown" ? undefined : `${answer}\n`),
    failing: (unit, result) => flag(`${unit}.failed`, result),
    journal: () => read("journal"),
    async end() {
      for await (const { name } of Deno.readDir(state)) {
        const pid = name.endsWith(".pid") ? Number(await read(name)) : 0;
        const environ = pid > 0 ? await Deno.readTextFile(`/proc/${pid}/environ`).catch(() => "") : "";
        // The number may be another's by now.
        if (environ.includes("INVOCATION_ID=fake\0") && environ.includes(`HOME=${user}\0`)) Deno.kill(pid, "SIGKILL");
      }
    },
  };
}
