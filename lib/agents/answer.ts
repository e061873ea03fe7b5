/** What an agent said last, for the report of its run: the end of it, however much it says. */

/** The messages have all of it. Kept whole, the words of a few talkative agents would fill the daemon's memory. */
export const MAX_ANSWER_CHARS = 1024 * 1024;
/** Pieces of a word each would take many times the memory of their text. */
const PIECE_CHARS = 64 * 1024;

export class Answer {
  #pieces: string[] = [];
  #chars = 0;
  #fresh: string[] = [];
  #freshChars = 0;
  #cut = 0;

  get empty(): boolean {
    return this.#chars + this.#freshChars === 0;
  }

  /** Says so itself where its beginning is missing. */
  get text(): string {
    const kept = [...this.#pieces, ...this.#fresh].join("");
    return this.#cut === 0 ? kept : `[${this.#cut} characters before this are only in the messages]\n${kept}`;
  }

  add(text: string): void {
    this.#fresh.push(text);
    this.#freshChars += text.length;
    if (this.#freshChars < PIECE_CHARS) return;
    this.#pieces.push(this.#fresh.join(""));
    this.#chars += this.#freshChars;
    this.#fresh = [];
    this.#freshChars = 0;
    while (this.#pieces.length > 1 && this.#chars > MAX_ANSWER_CHARS) {
      const { length } = this.#pieces.shift()!;
      this.#chars -= length;
      this.#cut += length;
    }
  }

  clear(): void {
    this.#pieces = [];
    this.#fresh = [];
    this.#chars = this.#freshChars = this.#cut = 0;
  }
}
