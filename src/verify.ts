import { parseArgs } from "node:util";
import { loadClientKey } from "./config/load-client-key.ts";
import { loadConfig } from "./config/load-config.ts";
import type { LedgerVerification, VerifiedInterval } from "./core/ledger-check.ts";
import { DirectoryInUseError } from "./db/directory-lock.ts";
import { verifyOwnBooks } from "./verify-own-books.ts";
import { verifyRunningGateway } from "./verify-running-gateway.ts";

const USAGE = `usage: npm run verify -- [--url URL] [--start INSTANT] [--end INSTANT]
Checks the books of this configuration (DATABASE_URL, or the embedded database in DATA_DIR) and its journal. Changes nothing.
  --url URL        asks a running gateway instead, with ADMIN_KEY or GATEWAY_KEY of the environment
  --start, --end   only this interval, e.g. 2026-11-01T00:00:00Z; widened to whole days of UTC
Exit code: 0 when nothing differs, 1 when something does, 2 when it could not be checked.`;

/** A statement may take so long, and so may the whole call of a running gateway. */
const TIMEOUT_MS = 600_000;
const DIFFERS = 1;
const NOT_CHECKED = 2;

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: {
      url: { type: "string" },
      start: { type: "string" },
      end: { type: "string" },
      help: { type: "boolean" },
    },
  });
  if (values.help) {
    print(USAGE);
    return 0;
  }
  const interval: VerifiedInterval = { start: instant(values.start), end: instant(values.end) };
  const verification =
    values.url === undefined
      ? await verifyOwnBooks(loadConfig(), interval, { timeoutMs: TIMEOUT_MS, note: print })
      : await verifyRunningGateway(values.url, loadClientKey(), interval, TIMEOUT_MS);
  print(toText(verification));
  return verification.ok ? 0 : DIFFERS;
}

function instant(text: string | undefined): Date | undefined {
  if (text === undefined) return undefined;
  const date = new Date(text);
  if (Number.isNaN(date.getTime()))
    throw new RangeError(`not an instant such as 2026-11-01T00:00:00Z: ${text}`);
  return date;
}

function toText({ ok, checks, differences }: LedgerVerification): string {
  const width = Math.max(...checks.map(({ name }) => name.length));
  const line = (cells: readonly string[]): string =>
    cells.map((cell, index) => (index === 0 ? cell.padEnd(width) : cell.padStart(12))).join("");
  const table = [
    line(["check", "compared", "differing", "noted"]),
    ...checks.map(({ name, compared, differing, noted }) =>
      line([name, ...[compared, differing, noted].map(String)]),
    ),
  ];
  const found = differences.map(
    ({ check, key, expected, found: there }) =>
      `${check}: ${key}\n  expected  ${expected}\n  found     ${there}`,
  );
  const differing = checks.reduce((sum, check) => sum + check.differing, 0n);
  const listed = BigInt(found.length) < differing ? `, ${found.length} of them listed above` : "";
  return [
    ...table,
    "",
    ...found,
    ok ? "The books agree." : `The books do not agree: ${differing} differences${listed}.`,
  ].join("\n");
}

function print(text: string): void {
  process.stdout.write(`${text}\n`);
}

function explain(error: unknown): string {
  const message = error instanceof Error ? error.message : String(error);
  if (!(error instanceof DirectoryInUseError)) return message;
  return `${message}.
A gateway that is running has its books open: ask it, with its key in ADMIN_KEY or a key with the role read_costs in GATEWAY_KEY:
  npm run verify -- --url http://127.0.0.1:8080`;
}

/** The embedded database keeps the process alive after it was closed; what was written must be out before the end. */
function end(code: number): void {
  process.stdout.write("", () => process.exit(code));
}

main().then(end, (error: unknown) => {
  process.stderr.write(`verify: ${explain(error)}\n`);
  end(NOT_CHECKED);
});
