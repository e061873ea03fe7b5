/** The completion scripts for bash and zsh: the words before the cursor lead to a place, and the place says what fits. */
import type { CompletedOption, Place, Values } from "./completion.ts";

/** The same walk for both: `verb`, `option` (whose value comes next), `first` operand and `count` of operands. */
function walkCases(places: readonly Place[]): string {
  const valued = places.flatMap(({ verb, options }) =>
    options.flatMap((option) => option.values ? names(option).map((name) => quote(`${verb}/${name}`)) : [])
  );
  const steps = places.flatMap(({ verb, next }) =>
    next.map(({ word }) => `      ${quote(`${verb}/${word}`)}) verb=${quote(`${verb} ${word}`.trim())} ;;`)
  );
  return [
    ...(valued.length > 0 ? [`      ${valued.join(" | ")}) option=$verb/$word ;;`] : []),
    "      */--profile=*) profile=${word#*=} ;;",
    "      */-*) ;;",
    ...steps,
    "      *)",
    "        [[ $count -gt 0 ]] || first=$word",
    "        count=$((count + 1))",
    "        ;;",
  ].join("\n");
}

interface Dialect {
  readonly values: (values: Values) => string;
  readonly options: (options: readonly CompletedOption[]) => string;
  readonly next: (next: Place["next"]) => string;
}

function optionValueCases(places: readonly Place[], { values }: Dialect): string {
  return rows(
    places.flatMap(({ verb, options }) =>
      options.flatMap((option) =>
        option.values && option.values.kind !== "anything"
          ? [[names(option).map((name) => quote(`${verb}/${name}`)).join(" | "), values(option.values)] as const]
          : []
      )
    ),
  );
}

function optionCases(places: readonly Place[], { options }: Dialect): string {
  return rows(places.map((place) => [quote(place.verb), options(place.options)] as const));
}

function operandCases(places: readonly Place[], dialect: Dialect): string {
  return rows(places.flatMap(({ verb, next, operands }) => [
    ...(next.length > 0 ? [[quote(`${verb}/0`), dialect.next(next)] as const] : []),
    ...operands.flatMap((values, at) =>
      values.kind === "anything" ? [] : [[quote(`${verb}/${at}`), dialect.values(values)] as const]
    ),
  ]));
}

function rows(cases: readonly (readonly [pattern: string, action: string])[]): string {
  return cases.map(([pattern, action]) => `      ${pattern}) ${action} ;;`).join("\n");
}

function names({ name, short }: CompletedOption): string[] {
  return short === undefined ? [`--${name}`] : [`--${name}`, `-${short}`];
}

function quote(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}

function firstOperandCase(words: Readonly<Record<string, readonly string[]>>, offer: string): string {
  const cases = Object.entries(words).map(([first, choices]) => `${quote(first)}) ${offer} ${choices.join(" ")} ;;`);
  return `case $first in ${cases.join(" ")} esac`;
}

function plainValues(values: Values, offer: string): string {
  switch (values.kind) {
    case "anything":
      return ":";
    case "directories":
      return "_drover_directories";
    case "words":
      return `${offer} ${values.words.map(quote).join(" ")}`;
    case "listed":
      return `_drover_listed ${values.what}`;
    case "by-first-operand":
      return firstOperandCase(values.words, offer);
  }
}

const BASH: Dialect = {
  values: (values) => plainValues(values, "_drover_offer"),
  options: (options) => `_drover_offer ${options.map(({ name }) => `--${name}`).join(" ")}`,
  next: (next) => `_drover_offer ${next.map(({ word }) => word).join(" ")}`,
};

/** For bash 3.2, which macOS has, and newer. Nothing that the program lists is ever evaluated. */
export function bashCompletion(places: readonly Place[]): string {
  return `# Completion of drover for bash. Load it with: source <(drover completions bash)

_drover_offer() {
  local word
  for word in "$@"; do
    if [[ $word == "$cur"* ]]; then COMPREPLY+=("$word"); fi
  done
}

_drover_listed() {
  local word rest
  while IFS=$'\\t' read -r word rest; do _drover_offer "$word"; done < <("$program" \${profile:+--profile="$profile"} __complete "$1" 2>/dev/null)
}

_drover_directories() {
  local word
  compopt -o filenames 2>/dev/null
  while IFS= read -r word; do COMPREPLY+=("$word"); done < <(compgen -d -- "$cur")
}

_drover() {
  local program=$1 cur=\${COMP_WORDS[COMP_CWORD]} word verb='' option='' first='' profile='' count=0 i
  COMPREPLY=()
  for ((i = 1; i < COMP_CWORD; i++)); do
    word=\${COMP_WORDS[i]}
    if [[ -n $option ]]; then
      # bash makes three words of --name=value.
      [[ $word != = ]] || continue
      [[ $option != */--profile ]] || profile=$word
      option=''
      continue
    fi
    case $verb/$word in
${walkCases(places)}
    esac
  done
  if [[ $cur == = ]]; then cur=''; fi
  if [[ -n $option ]]; then
    case $option in
${optionValueCases(places, BASH)}
    esac
  elif [[ $cur == -* ]]; then
    case $verb in
${optionCases(places, BASH)}
    esac
  else
    case $verb/$count in
${operandCases(places, BASH)}
    esac
  fi
  return 0
}

complete -F _drover drover
`;
}

const ZSH: Dialect = {
  values: (values) => plainValues(values, "compadd --"),
  options: (options) => described("option", options.map(({ name, summary }) => [`--${name}`, summary])),
  next: (next) => described("command", next.map(({ word, summary }) => [word, summary])),
};

function described(tag: string, entries: readonly (readonly [word: string, summary: string])[]): string {
  return `found=(${entries.map((entry) => quote(entry.join(":"))).join(" ")}); _describe ${tag} found`;
}

/** Works as a file `_drover` on the function path and when it is read with `source`. */
export function zshCompletion(places: readonly Place[]): string {
  return `#compdef drover
# Completion of drover for zsh. Load it, after compinit, with: source <(drover completions zsh)

_drover_listed() {
  local line
  local -a found
  while IFS= read -r line; do found+=("\${line/$'\\t'/:}"); done < <($program \${profile:+--profile=$profile} __complete $1 2>/dev/null)
  _describe $1 found
}

_drover_directories() {
  _files -/
}

_drover() {
  local program=\${(Q)words[1]} word verb='' option='' first='' profile=''
  local -a found
  integer i count=0
  for ((i = 2; i < CURRENT; i++)); do
    word=\${(Q)words[i]}
    if [[ -n $option ]]; then
      [[ $option != */--profile ]] || profile=$word
      option=''
      continue
    fi
    case $verb/$word in
${walkCases(places)}
    esac
  done
  if [[ -z $option && $PREFIX == --*=* ]]; then
    option=$verb/\${PREFIX%%=*}
    compset -P '*='
  fi
  if [[ -n $option ]]; then
    case $option in
${optionValueCases(places, ZSH)}
    esac
  elif [[ $PREFIX == -* ]]; then
    case $verb in
${optionCases(places, ZSH)}
    esac
  else
    case $verb/$count in
${operandCases(places, ZSH)}
    esac
  fi
}

if [[ \${funcstack[1]} == _drover ]]; then _drover "$@"; else compdef _drover drover; fi
`;
}
