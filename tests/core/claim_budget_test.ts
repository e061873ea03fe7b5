/** How many tasks may be claimed. */
import { assertEquals } from "@std/assert";
import { type BudgetInput, claimBudget, rotate } from "../../lib/core/claim_budget.ts";

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
