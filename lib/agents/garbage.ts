/** What an agent printed that is none of its protocol: counted, with the first of it quoted in failure texts. */

const QUOTE_CHARS = 200;

export class Garbage {
  readonly #protocol: string;
  #lines = 0;
  #first = "";

  constructor(protocol: string) {
    this.#protocol = protocol;
  }

  add(line: string): void {
    this.#lines++;
    this.#first ||= line.length > QUOTE_CHARS ? `${line.slice(0, QUOTE_CHARS)}…` : line;
  }

  /** Empty when there was none. */
  describe(): string {
    if (this.#lines === 0) return "";
    const lines = this.#lines === 1 ? "1 line" : `${this.#lines} lines`;
    return `${lines} of its output could not be read as ${this.#protocol}, the first: ${this.#first}`;
  }
}
