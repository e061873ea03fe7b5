/** What the service manager that started us is told (the sd_notify protocol): by `sendto(2)` through FFI, so that it comes from this very process. */
import type { Env, ServiceNotices } from "../core/ports.ts";

/**
 * What systemd tells a service about itself. It is nobody else's: an agent with these would speak for the daemon, and
 * each start has others.
 */
const SERVICE_VARIABLES = [
  "INVOCATION_ID",
  "JOURNAL_STREAM",
  "MANAGERPID",
  "MEMORY_PRESSURE_WATCH",
  "MEMORY_PRESSURE_WRITE",
  "NOTIFY_SOCKET",
  "SYSTEMD_EXEC_PID",
  "WATCHDOG_PID",
  "WATCHDOG_USEC",
];

/** An environment without what its service manager meant for one process alone. */
export function withoutServiceVariables(env: Env): Record<string, string> {
  return Object.fromEntries(Object.entries(env).filter(([name]) => !SERVICE_VARIABLES.includes(name)));
}

const AF_UNIX = 1;
const SOCK_DGRAM_CLOEXEC = 0o2000002;
const MSG_DONTWAIT_NOSIGNAL = 0x4040;

/** `env`: the one this process was started with. */
export function createNotices(env: Env, pid: number): ServiceNotices {
  const path = env.NOTIFY_SOCKET ?? "";
  const asked = Deno.build.os === "linux" && /^[/@]./.test(path);
  const meant = env.WATCHDOG_PID === undefined || env.WATCHDOG_PID === String(pid);
  const watchdogMs = asked && meant ? Math.floor(Number(env.WATCHDOG_USEC ?? 0) / 1000) || 0 : 0;
  return {
    watchdogMs,
    send(text) {
      if (asked) send(path, text);
    },
  };
}

/** A manager that does not listen any more is nobody to tell. */
function send(path: string, text: string): void {
  const library = Deno.dlopen("libc.so.6", {
    socket: { parameters: ["i32", "i32", "i32"], result: "i32" },
    sendto: { parameters: ["i32", "buffer", "usize", "i32", "buffer", "u32"], result: "isize" },
    close: { parameters: ["i32"], result: "i32" },
  });
  try {
    const fd = library.symbols.socket(AF_UNIX, SOCK_DGRAM_CLOEXEC, 0);
    if (fd < 0) return;
    const bytes = new TextEncoder().encode(text);
    const address = socketAddress(path);
    library.symbols.sendto(fd, bytes, BigInt(bytes.length), MSG_DONTWAIT_NOSIGNAL, address, address.length);
    library.symbols.close(fd);
  } finally {
    library.close();
  }
}

/** `sockaddr_un`; a leading `@` stands for the NUL of an abstract address. */
function socketAddress(path: string): Uint8Array<ArrayBuffer> {
  const name = new TextEncoder().encode(path);
  if (path.startsWith("@")) name[0] = 0;
  const address = new Uint8Array(2 + name.length + (path.startsWith("@") ? 0 : 1));
  new DataView(address.buffer).setUint16(0, AF_UNIX, true);
  address.set(name, 2);
  return address;
}
