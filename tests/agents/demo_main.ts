/** The demo agent as a program of its own, for tests that need a real agent process. */
import { runDemoAgent } from "../../lib/agents/demo_agent.ts";
import { createHost } from "../../lib/host/host.ts";

Deno.exit(await runDemoAgent(createHost(), Deno.args));
