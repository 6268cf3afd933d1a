import { isDeepStrictEqual } from "node:util";
import { FAILURE_WORDS } from "./cases/failure-words.ts";
import { type Expected, type FaultCase, WHOLE_TEXT } from "./cases/fault-case.ts";

/** What the table says of a call, column by column. */
const COLUMNS: readonly (readonly [head: string, (expected: Expected) => string])[] = [
  ["the caller is told", told],
  ["failed calls", ({ failure, failures = 1 }) => (failure === undefined ? "0" : String(failures))],
  ["next provider", nextProvider],
  ["on the ledger", onLedger],
  ["ends", ({ takes }) => takes.until],
];

/** The table of faults. */
export function renderFaults(cases: readonly FaultCase[]): string {
  return renderTable([["fault", ...COLUMNS.map(([head]) => head)], ...cases.flatMap(rowsOf)]);
}

/** One row, or two where a stream ends otherwise. */
function rowsOf({ fault, unary, stream }: FaultCase): readonly (readonly string[])[] {
  const one = COLUMNS.map(([, cell]) => cell(unary));
  const other = COLUMNS.map(([, cell]) => cell(stream));
  if (isDeepStrictEqual(one, other)) return [[fault, ...one]];
  return [
    [`${fault}; unary`, ...one],
    [`${fault}; streamed`, ...other],
  ];
}

function told({ failure, recovers, begun, finishReason }: Expected): string {
  if (failure === undefined || recovers)
    return finishReason === undefined ? "the answer" : `the answer, with \`${finishReason}\``;
  const delivered = begun && (begun === WHOLE_TEXT ? "the text, then " : "half of the text, then ");
  return `${delivered ?? ""}\`${failure}\``;
}

function nextProvider({ failure, next, beforeNext }: Expected): string {
  if (failure === undefined) return "–";
  if (!next) return "not asked";
  return beforeNext ? `answers ${beforeNext.takes.until}` : "answers";
}

function onLedger({ ledger: { state, usage, flag } }: Expected): string {
  const counted = usage === "none" ? "" : `, ${usage}`;
  return `\`${state}\`${counted}${flag === undefined ? "" : `, \`${flag}\``}`;
}

/** How each failure reads. */
export function renderFailures(): string {
  return renderTable([
    ["reason", "gRPC", "HTTP/JSON", "OpenAI", "Anthropic", "told when to try again", "`error_type`"],
    ...Object.entries(FAILURE_WORDS).map(([reason, { code, http, openAi, anthropic, retry, errorType }]) => [
      ...[
        `\`${reason}\``,
        code,
        String(http),
        String(openAi),
        String(anthropic),
        retry ? "yes" : "no",
        `\`${errorType}\``,
      ],
    ]),
  ]);
}

function renderTable([head = [], ...rows]: readonly (readonly string[])[]): string {
  const lines = [head, head.map(() => "---"), ...rows].map((cells) => `| ${cells.join(" | ")} |`);
  return lines.join("\n");
}

/** The document with its tables made anew: each stands below a line of heads of its own, until an empty line. */
export function withTables(document: string, tables: readonly string[]): string {
  return tables.reduce((text, table) => {
    const head = table.slice(0, table.indexOf("\n"));
    const start = text.indexOf(head);
    if (start === -1) throw new Error(`no table with the heads ${head}`);
    const end = text.indexOf("\n\n", start);
    return text.slice(0, start) + table + (end === -1 ? "\n" : text.slice(end));
  }, document);
}
