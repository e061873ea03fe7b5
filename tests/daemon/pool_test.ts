/** The pool: slots are promised before they are taken, and never more than there are. */
import { assertEquals, assertExists, assertThrows } from "@std/assert";
import { createPool } from "../../lib/daemon/pool.ts";

Deno.test("Pool.reserve() promises free slots and gives back what was not taken", () => {
  const pool = createPool(3);
  {
    using reservation = pool.reserve(2);
    assertEquals([pool.claiming, pool.running], [2, 0]);
    assertExists(reservation.take());
    assertEquals([pool.claiming, pool.running], [1, 1]);
  }
  assertEquals([pool.claiming, pool.running, pool.size], [0, 1, 3]);
});

Deno.test("Pool.reserve() refuses to promise more than is free", () => {
  const pool = createPool(2);
  using _held = pool.reserve(1);
  assertThrows(() => pool.reserve(2), RangeError, "Cannot reserve 2 slots: 1 of 2 are free");
});

Deno.test("Reservation.take() has no slot for a task that was not asked for", () => {
  const pool = createPool(3);
  using reservation = pool.reserve(1);
  assertExists(reservation.take());
  assertEquals(reservation.take(), undefined);
  assertEquals(pool.running, 1);
});

Deno.test("Slot has the lowest free number for as long as it is held", () => {
  const pool = createPool(3);
  using reservation = pool.reserve(3);
  const [a, b, c] = [reservation.take()!, reservation.take()!, reservation.take()!];
  assertEquals([a.index, b.index, c.index], [0, 1, 2]);
  b[Symbol.dispose]();
  using again = pool.reserve(1);
  assertEquals(again.take()!.index, 1);
});

Deno.test("Slot frees itself once, and tells those who wait for it", () => {
  const pool = createPool(2);
  let told = 0;
  const listener = pool.onFree(() => told++);
  const a = pool.reserve(1).take()!;
  a[Symbol.dispose]();
  const next = pool.reserve(1).take()!;
  // The number belongs to another by now.
  a[Symbol.dispose]();
  assertEquals([told, pool.running], [1, 1]);
  listener[Symbol.dispose]();
  next[Symbol.dispose]();
  assertEquals([told, pool.running], [1, 0]);
});

Deno.test("Pool takes a changed size at once, and nobody's slot away", () => {
  let size = 1;
  const pool = createPool(() => size);
  using first = pool.reserve(1);
  assertExists(first.take());
  size = 3;
  using more = pool.reserve(2);
  assertExists(more.take());
  size = 1;
  assertEquals([pool.size, pool.running, pool.claiming], [1, 2, 1]);
  assertThrows(() => pool.reserve(1), RangeError);
});
