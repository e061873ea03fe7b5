/** The completion script for fish: one rule for each word, option and operand, under the condition of its place. */
import type { CompletedOption, Place, Values } from "./completion.ts";

export function fishCompletion(places: readonly Place[]): string {
  const valued = places.flatMap(({ verb, options }) =>
    options.flatMap(({ name, short, values }) =>
      values ? [`${verb}/--${name}`, ...(short === undefined ? [] : [`${verb}/-${short}`])] : []
    )
  );
  const steps = places.flatMap(({ verb, next }) =>
    next.map(({ word }) =>
      `            case ${quote(`${verb}/${word}`)}\n                set verb ${quote(`${verb} ${word}`.trim())}`
    )
  );
  return `# Completion of drover for fish. Load it with: drover completions fish | source

# Whether the words before the cursor lead to this verb, with so many operands, the first of them being this one.
function __drover_at
    set -l words (commandline -opc)
    set -e words[1]
    set -l verb ''
    set -l count 0
    set -l first ''
    set -l value no
    for word in $words
        if test $value = yes
            set value no
            continue
        end
        switch "$verb/$word"
            case ${valued.map(quote).join(" ")}
                set value yes
            case '*/-*'
${steps.join("\n")}
            case '*'
                test $count -gt 0; or set first $word
                set count (math $count + 1)
        end
    end
    test "$verb" = "$argv[1]"; or return 1
    if set -q argv[2]
        test $count -eq $argv[2]; or return 1
    end
    if set -q argv[3]
        test "$first" = "$argv[3]"; or return 1
    end
    return 0
end

function __drover_listed
    set -l words (commandline -opc)
    set -l profile
    set -l before ''
    for word in $words
        test "$before" = --profile; and set profile --profile=$word
        string match -q -- '--profile=*' $word; and set profile $word
        set before $word
    end
    $words[1] $profile __complete $argv[1] 2>/dev/null
end

complete -c drover -f
${places.flatMap(placeRules).join("\n")}
`;
}

function placeRules({ verb, next, options, operands }: Place): string[] {
  return [
    ...next.map(({ word, summary }) => rule([verb, "0"], `-a ${quote(word)} -d ${quote(summary)}`)),
    ...options.map((option) => optionRule(verb, option)),
    ...operands.flatMap((values, at) => operandRules(verb, values, at)),
  ];
}

function optionRule(verb: string, { name, short, summary, values }: CompletedOption): string {
  const takes = values === undefined ? "" : ` -x${offered(values)}`;
  return rule([verb], `-l ${name}${short === undefined ? "" : ` -s ${short}`}${takes} -d ${quote(summary)}`);
}

function operandRules(verb: string, values: Values, at: number): string[] {
  if (values.kind === "anything") return [];
  if (values.kind !== "by-first-operand") return [rule([verb, String(at)], offered(values).trim())];
  return Object.entries(values.words).map(([first, words]) =>
    rule([verb, String(at), first], offered({ kind: "words", words }).trim())
  );
}

function offered(values: Values): string {
  switch (values.kind) {
    case "directories":
      return " -a '(__fish_complete_directories)'";
    case "words":
      return ` -a ${quote(values.words.join(" "))}`;
    case "listed":
      return ` -a '(__drover_listed ${values.what})'`;
    default:
      return "";
  }
}

function rule(place: readonly string[], what: string): string {
  const condition = ["__drover_at", ...place.map((word) => `"${word}"`)].join(" ");
  return `complete -c drover -n ${quote(condition)} ${what}`;
}

function quote(text: string): string {
  return `'${text.replaceAll("\\", "\\\\").replaceAll("'", "\\'")}'`;
}
