/** Issues as servers tell them: whatever of them can be read is. */
import { assertEquals, assertThrows } from "@std/assert";
import { readComments, readIssue } from "../../lib/wire/issue.ts";

Deno.test("readIssue() takes what is absent, null or of another type as nothing, but needs an id", () => {
  const empty = {
    identifier: "",
    title: "",
    description: "",
    status: "",
    priority: "",
    due_date: "",
    parent_issue_id: "",
  };
  assertEquals(readIssue({ id: "i", title: null, description: 7, labels: ["x"] }), { id: "i", ...empty });
  for (const value of [null, [], "i", {}, { id: 1 }]) assertThrows(() => readIssue(value));
});

Deno.test("readComments() reads a list with and without an envelope, in the order of writing, without empty ones", () => {
  const list = [
    { id: "3", content: "no time" },
    { id: "2", content: "later", created_at: "2026-08-02T00:00:00Z" },
    7,
    null,
    { id: "4", content: " \n", created_at: "2026-08-01T00:00:00Z" },
    { id: "1", content: "sooner", created_at: "2026-08-01T00:00:00.5+02:00", author_id: null },
  ];
  for (const value of [list, { comments: list, total: 6 }]) {
    assertEquals(readComments(value).map(({ id }) => id), ["3", "1", "2"]);
  }
  for (const value of [null, {}, { comments: null }, "x"]) assertThrows(() => readComments(value));
});
