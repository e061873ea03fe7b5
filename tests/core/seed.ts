/** Randomness for tests that can be had again: the seed goes into the failure's text, and DROVER_TEST_SEED sets it. */

export function seedOfRun(): number {
  const set = Deno.env.get("DROVER_TEST_SEED");
  return set ? Number(set) : crypto.getRandomValues(new Uint32Array(1))[0]!;
}

/** Numbers in [0, 1): a counter through a good mixing function (splitmix32). */
export function randomFrom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x9e3779b9) >>> 0;
    let mixed = state ^ (state >>> 16);
    mixed = Math.imul(mixed, 0x21f0aaad);
    mixed ^= mixed >>> 15;
    mixed = Math.imul(mixed, 0x735a2d97);
    return ((mixed ^ (mixed >>> 15)) >>> 0) / 2 ** 32;
  };
}
