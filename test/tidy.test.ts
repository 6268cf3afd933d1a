import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, normalize, relative } from "node:path";
import { describe, expect, it } from "vitest";

/** The rules of CONTRIBUTING.md that a machine can check. */

const ROOT = join(import.meta.dirname, "..");
const MAX_FILE_LINES = 350;
const MAX_TEST_FILE_LINES = 500;
const MAX_FUNCTION_LINES = 70;

/** A floor imports only from floors below it; folders of one floor do not import from each other. */
const FLOORS: Readonly<Record<string, number>> = {
  core: 0,
  config: 1,
  providers: 1,
  pricing: 1,
  ledger: 1,
  keys: 1,
  limits: 1,
  resilience: 1,
  telemetry: 1,
  db: 1,
  routing: 2,
  gateway: 3,
  server: 4,
};

/** Imports across one floor that are wanted, each with its reason. */
const ALLOWED_ACROSS: ReadonlySet<string> = new Set([
  // Stores run their queries through the database that was opened for them, and their migrations are its.
  "ledger → db",
  "keys → db",
]);

/** A package may be imported only under these folders of src. */
const PACKAGE_FENCES: readonly { readonly pattern: RegExp; readonly allowed: readonly RegExp[] }[] = [
  { pattern: /^@mikro-orm\//, allowed: [/^src\/db\//, /-store\.ts$/, /entities\.ts$/] },
  { pattern: /^@electric-sql\/pglite/, allowed: [/^src\/db\//] },
  { pattern: /^prom-client$/, allowed: [/^src\/telemetry\//] },
  { pattern: /^@opentelemetry\//, allowed: [/^src\/telemetry\//] },
  { pattern: /^@connectrpc\//, allowed: [/^src\/server\//] },
  { pattern: /^@bufbuild\//, allowed: [/^src\/server\//] },
  { pattern: /^@grpc\/grpc-js$/, allowed: [/^src\/server\//, /^src\/demo\.ts$/] },
  { pattern: /^gpt-tokenizer/, allowed: [/^src\/pricing\/tokenizer-worker\.ts$/] },
  { pattern: /^undici$/, allowed: [/^src\/providers\//] },
  { pattern: /^@smithy\//, allowed: [/^src\/providers\/bedrock\//] },
  { pattern: /gen\/es\//, allowed: [/^src\/server\//] },
  { pattern: /gen\/ts-proto\//, allowed: [/^src\/demo\.ts$/] },
];

function listFiles(folder: string): string[] {
  return readdirSync(join(ROOT, folder), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && entry.name.endsWith(".ts"))
    .map((entry) => relative(ROOT, join(entry.parentPath, entry.name)))
    .sort();
}

const read = (file: string) => readFileSync(join(ROOT, file), "utf8");

function importsOf(file: string): string[] {
  const pattern =
    /(?:^|\n)\s*(?:import|export)\b[^;"']*?from\s*["']([^"']+)["']|import\(\s*["']([^"']+)["']\s*\)/g;
  return [...read(file).matchAll(pattern)].map((match) => match[1] ?? match[2] ?? "");
}

const resolveImport = (file: string, specifier: string) =>
  specifier.startsWith(".") ? normalize(join(dirname(file), specifier)) : specifier;

const folderOf = (file: string) => /^src\/([^/]+)\//.exec(file)?.[1];

const sources = listFiles("src");
const programs = [...sources, ...listFiles("simulator"), ...listFiles("bench")];
const tests = listFiles("test");

describe("The source tree", () => {
  it("has a floor for every folder", () => {
    const folders = new Set(sources.map(folderOf).filter((folder) => folder !== undefined));
    expect([...folders].filter((folder) => !(folder in FLOORS))).toEqual([]);
    expect(folders.size).toBeGreaterThan(5);
  });

  it("imports only from lower floors", () => {
    const violations = sources.flatMap((file) => {
      const from = folderOf(file);
      if (from === undefined) return [];
      return importsOf(file).flatMap((specifier) => {
        const to = folderOf(resolveImport(file, specifier));
        if (to === undefined || to === from) return [];
        const isBelow = (FLOORS[to] ?? 9) < (FLOORS[from] ?? -1);
        return isBelow || ALLOWED_ACROSS.has(`${from} → ${to}`) ? [] : [`${file} imports ${specifier}`];
      });
    });
    expect(violations).toEqual([]);
  });

  it("keeps the simulator apart from the gateway", () => {
    const violations = listFiles("simulator").flatMap((file) =>
      importsOf(file)
        .filter((specifier) => specifier.startsWith("."))
        .filter((specifier) => !resolveImport(file, specifier).startsWith("simulator/")),
    );
    expect(violations).toEqual([]);
  });

  it("keeps packages behind their fences", () => {
    const violations = sources.flatMap((file) =>
      importsOf(file).flatMap((specifier) => {
        const target = resolveImport(file, specifier);
        const fence = PACKAGE_FENCES.find(({ pattern }) => pattern.test(target));
        return fence && !fence.allowed.some((allowed) => allowed.test(file))
          ? [`${file} imports ${specifier}`]
          : [];
      }),
    );
    expect(violations).toEqual([]);
  });

  it("reads the environment only in the configuration and the process entry", () => {
    expect(
      sources.filter((file) => /process\.env\b/.test(read(file)) && folderOf(file) !== "config"),
    ).toEqual([]);
  });

  it("has no any, no default export, no ignored error and no leftover mark", () => {
    const forbidden = [
      /:\s*any\b/,
      /\bas any\b/,
      /<any>/,
      /@ts-ignore/,
      /@ts-expect-error/,
      /^export default/m,
      /\bTODO\b|\bFIXME\b/,
    ];
    const violations = programs.flatMap((file) =>
      forbidden.filter((pattern) => pattern.test(read(file))).map((pattern) => `${file}: ${pattern}`),
    );
    expect(violations).toEqual([]);
  });

  it("lets no float near money", () => {
    const forbidden = [/parseFloat/, /toFixed/, /Number\([^)]*(?:cost|usd|price|pico)/i];
    const violations = sources
      .filter((file) => ["ledger", "pricing", "core", "gateway"].includes(folderOf(file) ?? ""))
      .flatMap((file) =>
        forbidden.filter((pattern) => pattern.test(read(file))).map((pattern) => `${file}: ${pattern}`),
      );
    expect(violations).toEqual([]);
  });

  it("has no file that grew too big", () => {
    const lines = (file: string) => read(file).split("\n").length;
    expect(programs.filter((file) => lines(file) > MAX_FILE_LINES)).toEqual([]);
    expect(tests.filter((file) => lines(file) > MAX_TEST_FILE_LINES)).toEqual([]);
  });

  it("has no function that grew too big, factories that only return their methods aside", () => {
    const violations = programs.flatMap((file) =>
      longFunctions(read(file)).map(({ name, lines }) => `${file}: ${name} has ${lines} lines`),
    );
    expect(violations).toEqual([]);
  });
});

/**
 * Functions declared at the left margin or as methods of classes, by indentation: the formatter guarantees that a
 * function ends at the first closing brace at its own indentation.
 */
function longFunctions(source: string): { name: string; lines: number }[] {
  const found: { name: string; lines: number }[] = [];
  const lines = source.split("\n");
  lines.forEach((line, start) => {
    const match =
      /^( *)(?:export )?(?:async )?(?:function\*? (\w+)|(?:static |async |\*)*(#?\w+)\([^)]*\).*\{$)/.exec(
        line,
      );
    const name = match?.[2] ?? match?.[3];
    if (!match || !name || ["if", "for", "while", "switch", "catch", "return"].includes(name)) return;
    const end = lines.findIndex((other, index) => index > start && other.startsWith(`${match[1]}}`));
    const length = end - start + 1;
    const isFactory = /^create[A-Z]/.test(name) || /^start[A-Z]/.test(name);
    if (end > 0 && length > MAX_FUNCTION_LINES && !(isFactory && length <= 2 * MAX_FUNCTION_LINES)) {
      found.push({ name, lines: length });
    }
  });
  return found;
}
