/** How many tasks may be claimed. */
import { assertEquals } from "@std/assert";
import {
  type BudgetInput,
  claimBudget,
  formatLimits,
  parseLimits,
  roomFor,
  rotate,
} from "../../lib/core/claim_budget.ts";

const IDLE: BudgetInput = { slots: 4, running: 0, claiming: 0, claimsOpen: true, outboxDegraded: false };

Deno.test("claimBudget() allows the free slots, never more", () => {
  const rows: [Partial<BudgetInput>, number][] = [
    [{}, 4],
    [{ running: 1 }, 3],
    [{ claiming: 3 }, 1],
    [{ running: 1, claiming: 2 }, 1],
    [{ slots: 64 }, 32],
  ];
  for (const [change, max] of rows) assertEquals(claimBudget({ ...IDLE, ...change }), { kind: "claim", max });
});

Deno.test("claimBudget() says why nothing may be claimed, the reason that lasts longest first", () => {
  const rows: [Partial<BudgetInput>, string][] = [
    [{ running: 4 }, "no-free-slot"],
    [{ running: 2, claiming: 2 }, "no-free-slot"],
    [{ running: 3, claiming: 3 }, "no-free-slot"],
    [{ outboxDegraded: true, running: 4 }, "outbox-unwritable"],
    [{ held: "on-battery", outboxDegraded: true, running: 4 }, "on-battery"],
    [{ claimsOpen: false, held: "on-battery" }, "paused"],
    [{ claimsOpen: false, outboxDegraded: true, running: 4 }, "paused"],
  ];
  for (const [change, why] of rows) {
    assertEquals(claimBudget({ ...IDLE, ...change }), { kind: "hold", why } as ReturnType<typeof claimBudget>);
  }
});

Deno.test("rotate() moves whoever was first to the end, turn by turn", () => {
  const turns = [0, 1, 2, 3, 7].map((turn) => rotate(["a", "b", "c"], turn).join(""));
  assertEquals(turns, ["abc", "bca", "cab", "abc", "bca"]);
  assertEquals(rotate([], 5), []);
});

Deno.test("roomFor() counts down from an agent CLI's own limit, and knows none for the others", () => {
  assertEquals([0, 1, 2, 3].map((running) => roomFor({ tool: 2 }, "tool", running)), [2, 1, 0, 0]);
  assertEquals([roomFor({ tool: 2 }, "other", 9), roomFor({}, "constructor", 0)], [Infinity, Infinity]);
});

Deno.test("parseLimits() reads a list and an object, and what formatLimits() writes", () => {
  const limits = { claude: 2, "kiro-cli": 64 };
  assertEquals(parseLimits(" claude = 2 , kiro-cli=64,"), limits);
  assertEquals(parseLimits(limits), limits);
  assertEquals([parseLimits(formatLimits(limits)), parseLimits("")], [limits, {}]);
});
