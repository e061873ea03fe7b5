/** HTTP to servers elsewhere: the proxies and private certificates of an environment, which loopback traffic never sees. */
import type { Env, OutwardClient } from "../core/ports.ts";
import { HostError } from "../core/ports.ts";
import { CERTIFICATE_VARIABLES, type Proxy, proxyFor } from "../core/proxy.ts";

/** A connection that died silently, as in a laptop's sleep, would be taken from the pool again and again. */
const FAILURES_UNTIL_FRESH = 2;

interface Pool {
  readonly client: Deno.HttpClient;
  /** Requests on their way; a client that is closed under them would fail them. */
  inUse: number;
  retired: boolean;
}

export function outward(env: Env): OutwardClient {
  const pools = new Map<string, Pool>();
  let certificates: Promise<string[]> | undefined;
  let failures = 0;
  const poolFor = async (url: URL): Promise<Pool> => {
    const caCerts = await (certificates ??= readCertificates(env).catch((error) => {
      certificates = undefined;
      throw error;
    }));
    const proxy = proxyFor(url, env);
    const key = proxy?.url ?? "";
    const pool = pools.get(key) ?? { client: clientFor(proxy, caCerts), inUse: 0, retired: false };
    pools.set(key, pool);
    return pool;
  };
  const retireAll = () => {
    for (const pool of pools.values()) {
      pool.retired = true;
      closeIfIdle(pool);
    }
    pools.clear();
  };
  return {
    async fetch(request) {
      const pool = await poolFor(new URL(request.url));
      pool.inUse++;
      try {
        const response = await fetch(request, { client: pool.client });
        failures = 0;
        return response;
      } catch (error) {
        if (ofTheLine(request.signal) && ++failures % FAILURES_UNTIL_FRESH === 0) retireAll();
        throw error;
      } finally {
        pool.inUse--;
        closeIfIdle(pool);
      }
    },
    [Symbol.dispose]: retireAll,
  };
}

/** What failed by itself or was not answered in time; what the caller gave up says nothing of the line. */
function ofTheLine({ aborted, reason }: AbortSignal): boolean {
  return !aborted || (reason instanceof DOMException && reason.name === "TimeoutError");
}

function closeIfIdle(pool: Pool): void {
  if (pool.retired && pool.inUse === 0) pool.client.close();
}

/** For what is no plain request, such as a WebSocket. Throws `HostError`; to be closed by the caller. */
export async function outwardHttpClient(url: URL, env: Env): Promise<Deno.HttpClient> {
  return clientFor(proxyFor(url, env), await readCertificates(env));
}

function clientFor(proxy: Proxy | undefined, caCerts: string[]): Deno.HttpClient {
  try {
    return Deno.createHttpClient({ caCerts, ...(proxy ? { proxy: { transport: "http", ...proxy } } : {}) });
  } catch (error) {
    const what = proxy ? `the proxy ${proxy.url}` : "the certificates";
    throw new HostError("other", `Cannot use ${what} of the environment: ${(error as Error).message}`, {
      cause: error,
    });
  }
}

async function readCertificates(env: Env): Promise<string[]> {
  const named = CERTIFICATE_VARIABLES.flatMap((name) => env[name] ? [{ name, path: env[name] }] : []);
  const paths = new Map(named.map(({ name, path }) => [path, name]));
  return await Promise.all([...paths].map(async ([path, name]) => {
    try {
      return await Deno.readTextFile(path);
    } catch (error) {
      throw new HostError("other", `Cannot read the certificates of ${name}=${path}: ${(error as Error).message}`, {
        cause: error,
      });
    }
  }));
}
