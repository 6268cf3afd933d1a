import { newId } from "../../src/core/ids.ts";
import {
  createDatabaseWriter,
  type DatabaseRow,
  DEFAULT_MAX_BATCH_ROWS,
} from "../../src/ledger/database-writer.ts";
import type { LedgerDatabase } from "../../src/ledger/ledger-database.ts";
import { chargeToJson, requestToJson } from "../../src/ledger/stored-rows.ts";
import { createRandom, sampleOutcome, sampleRequest } from "../../test/support/ledger-samples.ts";
import type { CpuMeter } from "./cpu-meter.ts";
import { KEYS, MODELS, PROVIDERS } from "./workload.ts";

export interface IngestFigures {
  readonly name: string;
  readonly batchRows: number;
  readonly rowsPerSecond: number;
  readonly recordsPerSecond: number;
  readonly nodeCpuMicrosPerRow: number;
  readonly databaseCpuMicrosPerRow: number;
  readonly batchP50Ms: number;
  readonly batchP99Ms: number;
}

/** Rows that wait for the writer while it writes: it must never be without. */
const WAITING_BATCHES = 3;

/** Writes new rows through the writer that the journal's shipper has, on top of what is there. */
export async function measureIngest(
  database: Pick<LedgerDatabase, "query">,
  rows: number,
  readCpu: CpuMeter,
): Promise<readonly IngestFigures[]> {
  const figures: IngestFigures[] = [];
  const writes = [
    { name: "attempts and their requests", batchRows: DEFAULT_MAX_BATCH_ROWS, withRequests: true, rows },
    { name: "attempts alone", batchRows: DEFAULT_MAX_BATCH_ROWS, withRequests: false, rows },
    { name: "an attempt and its request", batchRows: 2, withRequests: true, rows: Math.min(rows, 4_000) },
  ];
  for (const { name, batchRows, withRequests, rows: count } of writes) {
    const made = makeRows(count, withRequests);
    const before = await readCpu();
    const written = await write(database, made, batchRows);
    const after = await readCpu();
    figures.push({
      ...{ name, batchRows, ...written },
      nodeCpuMicrosPerRow: ((after.nodeMs - before.nodeMs) * 1_000) / made.length,
      databaseCpuMicrosPerRow: ((after.databaseMs - before.databaseMs) * 1_000) / made.length,
    });
  }
  return figures;
}

async function write(
  database: Pick<LedgerDatabase, "query">,
  rows: readonly DatabaseRow[],
  batchRows: number,
) {
  const durations: number[] = [];
  const errors: unknown[] = [];
  const { writer } = createDatabaseWriter(database, {
    maxBatchRows: batchRows,
    onBatch: ({ durationMs }) => durations.push(durationMs),
    onWriteError: (error) => errors.push(error),
  });
  const startedAtMs = performance.now();
  let waiting: Promise<void>[] = [];
  for (let first = 0; first < rows.length; first += batchRows) {
    waiting.push(...rows.slice(first, first + batchRows).map((row) => writer.add(row)));
    if (waiting.length < WAITING_BATCHES * batchRows) continue;
    await Promise.all(waiting.slice(0, batchRows));
    waiting = waiting.slice(batchRows);
  }
  await Promise.all(waiting);
  const seconds = (performance.now() - startedAtMs) / 1_000;
  if (errors.length > 0) throw errors[0];
  const sorted = durations.toSorted((a, b) => a - b);
  const records = rows.filter(({ table }) => table === "cost_record").length;
  return {
    rowsPerSecond: rows.length / seconds,
    recordsPerSecond: records / seconds,
    batchP50Ms: sorted[Math.ceil(sorted.length * 0.5) - 1] ?? Number.NaN,
    batchP99Ms: sorted[Math.ceil(sorted.length * 0.99) - 1] ?? Number.NaN,
  };
}

/** Calls of now, by the same keys and models as those that are there. */
function makeRows(count: number, withRequests: boolean): readonly DatabaseRow[] {
  const random = createRandom(count);
  const rows: DatabaseRow[] = [];
  while (rows.length < count) {
    const key = Math.floor(KEYS * random() ** 3);
    const model = (key * 7 + Math.floor(random() ** 2 * (1 + (key % MODELS)))) % MODELS;
    const shared = {
      requestId: newId(),
      apiKeyId: `k_${String(key).padStart(12, "0")}`,
      provider: `provider-${model % PROVIDERS}`,
      model: `model-${String(model).padStart(2, "0")}`,
      tags: { team: `team-${Math.floor(random() * 20)}`, stage: "prod" },
      endUser: `user-${Math.floor(random() * 5_000)}`,
      occurredAt: new Date(),
    };
    rows.push({
      table: "cost_record",
      json: chargeToJson(sampleOutcome({ ...shared, price: undefined })),
      priceId: undefined,
    });
    if (withRequests)
      rows.push({
        table: "request_log",
        json: requestToJson(newId(), sampleRequest(shared)),
        priceId: undefined,
      });
  }
  return rows;
}
