import { randomBytes } from "node:crypto";
import { readdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { PGlite } from "@electric-sql/pglite";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Script } from "../../simulator/script.ts";
import { CALL_KINDS } from "../support/completion-client.ts";
import { createDataDirectory } from "../support/data-directory.ts";
import { type BenchCall, type FaultBench, startFaultBench } from "../support/fault-bench.ts";
import { ADMIN_KEY } from "../support/gateway-process.ts";
import { inParallel, pairs } from "../support/in-parallel.ts";
import { expectLawL } from "../support/law-l.ts";
import { type RecordingServer, startRecordingServer } from "../support/recording-server.ts";

const canary = (name: string) => `${name}${randomBytes(12).toString("hex")}`;

/** What people say and are told; nothing of it may be kept or shown anywhere. */
const TEXTS = {
  prompt: canary("CanaryPrompt"),
  answer: canary("CanaryAnswer"),
  providersError: canary("CanaryProvidersError"),
  finishReason: canary("canaryfinish"),
  header: canary("CanaryHeader"),
  badField: canary("CanaryField"),
  query: canary("CanaryQuery"),
};
const SECRETS = {
  pepper: canary("canary-pepper-"),
  metricsToken: canary("canary-metrics-token-"),
  wrongKey: `gw_live_${canary("Wrong").slice(0, 12)}_${canary("Wrong").slice(0, 38).padEnd(38, "0")}`,
  wrongBearer: canary("sk-proj-"),
};
/** Attribution is kept with the costs, and told to nobody else. */
const ATTRIBUTION = { tag: canary("CanaryTag"), endUser: canary("CanaryUser") };

let bench: FaultBench;
let collector: RecordingServer;
let dataDir: string;
let metrics: string;
let answers: readonly string[];
let providerSecrets: Readonly<Record<string, string>>;

/** Everything that can go wrong, each time with the canaries in its way. */
function scripts(): readonly Script[] {
  const [providerKey = ""] = [...bench.providerKeys.values()];
  const said = `${TEXTS.providersError} ${TEXTS.prompt} Bearer ${providerKey}`;
  return [
    { text: TEXTS.answer },
    { text: TEXTS.answer, tokenDelayMs: 1, fault: "cut" },
    { text: TEXTS.answer, finishReason: TEXTS.finishReason },
    { toolCall: { name: "look_up", arguments: { query: TEXTS.answer } } },
    { status: 400, errorMessage: said },
    { status: 422, errorBody: JSON.stringify({ detail: [{ msg: "too long", input: said }] }) },
    { status: 401, errorMessage: `Incorrect API key provided: ${providerKey}. ${TEXTS.providersError}` },
    { status: 429, errorMessage: said, headers: { "x-request-id": "r-1", "x-debug": said } },
    { status: 500, errorBody: `<html>${said}</html>` },
    { status: 302, headers: { location: `http://user:${providerKey}@127.0.0.1/${TEXTS.providersError}` } },
    { fault: "html", errorBody: `<html>${said}</html>` },
    { fault: "errorEvent", text: TEXTS.answer, errorMessage: said },
    { fault: "garbage", text: TEXTS.answer },
    { fault: "truncatedJson", text: TEXTS.answer },
    { fault: "reset" },
    { fault: "hang" },
    { usageOverride: { prompt_tokens: -1, completion_tokens: TEXTS.providersError }, text: TEXTS.answer },
  ];
}

async function runWorkload(): Promise<readonly string[]> {
  await inParallel(pairs(CALL_KINDS, scripts()), async ([kind, script]) => {
    const call: BenchCall = {
      ...{
        kind,
        model: bench.candidate(),
        text: TEXTS.prompt,
        scripts: { openai: script },
        usageHidden: true,
      },
      ...{ tags: { team: ATTRIBUTION.tag }, endUser: ATTRIBUTION.endUser },
    };
    await bench.complete(call);
    await bench.complete({
      ...call,
      model: bench.candidate(),
      fallbackModels: [bench.candidate("deepseek")],
    });
    await bench.complete({
      ...call,
      model: bench.candidate(),
      signal: AbortSignal.timeout(30),
      mayBeLost: true,
    });
  });
  return [...bench.outcomes.map(({ error }) => JSON.stringify(error ?? "")), ...(await runRefusals())];
}

/** Requests that reach no provider. */
async function runRefusals(): Promise<readonly string[]> {
  const { url } = bench.gateway;
  const complete = `${url}/llmgateway.v1.CompletionService/Complete`;
  const message = { role: "ROLE_USER", parts: [{ text: TEXTS.prompt }] };
  const post = async (authorization: string, body: string) => {
    const headers = { "content-type": "application/json", authorization, "x-debug": TEXTS.header };
    return (await fetch(complete, { method: "POST", headers, body })).text();
  };
  const own = `Bearer ${bench.secret}`;
  const valid = JSON.stringify({ model: bench.candidate(), messages: [message] });
  const get = async (path: string) =>
    (await fetch(`${url}${path}`, { headers: { "x-api-key": bench.secret } })).text();
  return [
    await post(`Bearer ${SECRETS.wrongKey}`, valid),
    await post(`Bearer ${SECRETS.wrongBearer}`, valid),
    await post(`Basic ${SECRETS.wrongBearer}`, valid),
    await post(own, JSON.stringify({ model: "nobody/knows", messages: [message] })),
    await post(
      own,
      JSON.stringify({ model: bench.candidate(), messages: [message], [TEXTS.badField]: TEXTS.prompt }),
    ),
    await post(
      own,
      JSON.stringify({ model: bench.candidate(), messages: [{ ...message, role: TEXTS.badField }] }),
    ),
    await post(own, valid.slice(0, -5)),
    await get(`/v1/costs?api_key=${TEXTS.query}`),
    await get(`/v1/costs?start=${TEXTS.query}`),
    await get(`/${TEXTS.query}?token=${TEXTS.query}`),
  ];
}

beforeAll(async () => {
  collector = await startRecordingServer();
  dataDir = await createDataDirectory("canaries");
  bench = await startFaultBench({
    groups: {
      openai: { profile: "openai", timeoutSeconds: 0.5, count: 120 },
      deepseek: { profile: "deepseek" },
    },
    env: {
      LOG_LEVEL: "trace",
      KEY_PEPPER: SECRETS.pepper,
      METRICS_TOKEN: SECRETS.metricsToken,
      OTEL_EXPORTER_OTLP_ENDPOINT: collector.url,
    },
    dataDir,
  });
  providerSecrets = Object.fromEntries(bench.providerKeys);
  answers = await runWorkload();
  await expectLawL(bench, "thorough");
  const response = await fetch(`${bench.gateway.url}/metrics`, {
    headers: { authorization: `Bearer ${SECRETS.metricsToken}` },
  });
  metrics = await response.text();
  await bench.close();
});

afterAll(async () => {
  await collector.close();
  rmSync(dataDir, { recursive: true, force: true });
});

function expectNone(haystack: string, needles: Readonly<Record<string, string>>): void {
  const found = Object.entries(needles).flatMap(([name, needle]) => {
    // The end of a secret is as bad as the whole.
    const at = haystack.indexOf(needle.slice(-16));
    return at < 0 ? [] : [`${name}: …${haystack.slice(Math.max(0, at - 200), at + 40)}…`];
  });
  expect(found).toEqual([]);
}

const allSecrets = () => ({ ...SECRETS, ...providerSecrets, apiKey: bench.secret, adminKey: ADMIN_KEY });

describe("secrets, prompts and answers of a mixed workload with every kind of failure", () => {
  it("are not in what the process wrote", () => {
    const output = bench.gateway.output();
    expect(output.split("\n").length).toBeGreaterThan(100);
    expectNone(output, { ...allSecrets(), ...TEXTS, ...ATTRIBUTION });
  });

  it("are not in the metrics", () => {
    expect(metrics).toContain("llm_gateway_requests_total");
    expectNone(metrics, { ...allSecrets(), ...TEXTS, ...ATTRIBUTION });
  });

  it("are not in the traces", () => {
    expect(collector.requests.length).toBeGreaterThan(0);
    const traces = collector.requests.join("\n");
    expect(traces).toContain("llm_gateway.request_id");
    expectNone(traces, { ...allSecrets(), ...TEXTS, ...ATTRIBUTION });
  });

  it("are not in the errors that callers get, where these are not the caller's own", () => {
    expect(answers.length).toBeGreaterThan(100);
    expectNone(answers.join("\n"), { ...allSecrets(), answer: TEXTS.answer });
  });

  it("are not in the database: neither in its tables nor in any of its files", async () => {
    const files = readdirSync(dataDir, { recursive: true, withFileTypes: true }).filter((entry) =>
      entry.isFile(),
    );
    expect(files.length).toBeGreaterThan(10);
    for (const { parentPath, name } of files)
      expectNone(readFileSync(join(parentPath, name), "latin1"), { ...allSecrets(), ...TEXTS });
    const dump = await dumpDatabase(join(dataDir, "db"));
    // It is the right database: what belongs into it is there.
    expect(dump).toContain(ATTRIBUTION.tag);
    expectNone(dump, { ...allSecrets(), ...TEXTS });
  });
});

/** Every row of every table as text. */
async function dumpDatabase(folder: string): Promise<string> {
  const database = await PGlite.create(folder);
  const tables = await database.query<{ name: string }>(
    `SELECT quote_ident(schemaname) || '.' || quote_ident(tablename) AS name FROM pg_tables
     WHERE schemaname NOT IN ('pg_catalog', 'information_schema')`,
  );
  let dump = "";
  for (const { name } of tables.rows) {
    const { rows } = await database.query<{ row: string }>(`SELECT t::text AS row FROM ${name} AS t`);
    dump += rows.map(({ row }) => `${name} ${row}\n`).join("");
  }
  await database.close();
  return dump;
}
