/** Strict readers of the two service formats, written from their manuals and from nothing of ours: what is written has to come back. */

export interface UnitEntry {
  readonly section: string;
  readonly key: string;
  readonly value: string;
}

/** systemd.syntax(7): sections, `key=value`, comments; a line that continues on the next one is an error here. */
export function parseUnit(text: string): UnitEntry[] {
  const entries: UnitEntry[] = [];
  let section = "";
  for (const line of text.split("\n")) {
    if (line.trim() === "" || /^[#;]/.test(line)) continue;
    if (line.endsWith("\\")) throw new Error(`A line goes on: ${line}`);
    const header = /^\[(\w+)\]$/.exec(line);
    if (header) {
      section = header[1]!;
      continue;
    }
    const at = line.indexOf("=");
    if (at <= 0 || section === "") throw new Error(`No assignment: ${line}`);
    entries.push({ section, key: line.slice(0, at), value: line.slice(at + 1).trim() });
  }
  return entries;
}

/** The words of a value: quotes, C escapes and specifiers as systemd undoes them; an unknown one is an error. */
export function unitWords(value: string): string[] {
  const words: string[] = [];
  let i = 0;
  while (i < value.length) {
    if (value[i] === " ") {
      i++;
      continue;
    }
    let word = "";
    let quote = "";
    for (; i < value.length && (quote !== "" || value[i] !== " "); i++) {
      const character = value[i]!;
      if (character === "\\") {
        const next = value[++i];
        if (next !== "\\" && next !== '"' && next !== "'") throw new Error(`Unknown escape: \\${next}`);
        word += next;
      } else if (character === quote) quote = "";
      else if (quote === "" && (character === '"' || character === "'")) quote = character;
      else word += character;
    }
    if (quote !== "") throw new Error(`An open quote: ${value}`);
    words.push(withoutSpecifiers(word));
  }
  return words;
}

function withoutSpecifiers(text: string): string {
  return text.replace(/%(.?)/g, (_, next) => {
    if (next !== "%") throw new Error(`A specifier: %${next}`);
    return "%";
  });
}

/** What systemd executes: the first word as it stands, variables of the others replaced; here there must be none. */
export function unitCommand(value: string): string[] {
  const [program = "", ...args] = unitWords(value);
  return [
    program,
    ...args.map((word) =>
      word.replace(/\$(.?)/g, (_, next) => {
        if (next !== "$") throw new Error(`A variable: $${next}`);
        return "$";
      })
    ),
  ];
}

// deno-lint-ignore no-explicit-any
export type Plist = any;

/** A property list of Apple's in XML: dict, array, string, integer, true and false; anything else is an error. */
export function parsePlist(text: string): Plist {
  const tokens = [...text.matchAll(/<!--[^]*?-->|<[^>]*>|[^<]+/g)].map(([token]) => token)
    .filter((token) => !token.startsWith("<!") && !token.startsWith("<?"));
  if (tokens.join("").replace(/<!--[^]*?-->/g, "").length === 0) throw new Error("Empty");
  let at = 0;
  const next = () => {
    while (tokens[at]?.trim() === "") at++;
    return tokens[at++] ?? "";
  };
  const expect = (token: string) => {
    const found = next();
    if (found !== token) throw new Error(`Expected ${token}, found ${found}`);
  };
  const content = (name: string) => {
    const body = tokens[at]!.startsWith("<") ? "" : tokens[at++]!;
    expect(`</${name}>`);
    return decoded(body);
  };
  const value = (token: string): Plist => {
    switch (token) {
      case "<string>":
        return content("string");
      case "<integer>":
        return Number(content("integer"));
      case "<true/>":
        return true;
      case "<false/>":
        return false;
      case "<array>": {
        const items = [];
        for (let token = next(); token !== "</array>"; token = next()) items.push(value(token));
        return items;
      }
      case "<dict>": {
        const members: Record<string, Plist> = {};
        for (let token = next(); token !== "</dict>"; token = next()) {
          if (token !== "<key>") throw new Error(`Expected a key, found ${token}`);
          const key = content("key");
          if (Object.hasOwn(members, key)) throw new Error(`The key ${key} twice`);
          members[key] = value(next());
        }
        return members;
      }
      default:
        throw new Error(`Unknown element: ${token}`);
    }
  };
  expect('<plist version="1.0">');
  const root = value(next());
  expect("</plist>");
  if (next() !== "") throw new Error("Something behind the end");
  return root;
}

const ENTITIES: Readonly<Record<string, string>> = { amp: "&", lt: "<", gt: ">", quot: '"', apos: "'" };

function decoded(text: string): string {
  // deno-lint-ignore no-control-regex
  if (/[\u0000-\u0008\u000b\u000c\u000e-\u001f]/.test(text)) throw new Error("A character that XML cannot hold");
  return text.replace(/&(\w*)(;?)/g, (_, name, end) => {
    if (end === "" || !Object.hasOwn(ENTITIES, name)) throw new Error(`No entity: &${name}`);
    return ENTITIES[name]!;
  });
}
