import type { Claim } from "../core/replay.ts";
import { createGrouped } from "./grouped.ts";
import type { LedgerDatabase, SqlQuery } from "./ledger-database.ts";
import type { ReplayLimits, StoredReplay } from "./replay-table.ts";

/** What the table `repeated_request` says of a request id that another call has. */
export interface SharedReplay {
  readonly fingerprint: string;
  /** The process that makes or made the call. */
  readonly owner: string;
  readonly concluded: boolean;
  /** Past the time at which the call must have ended: its process died, or could not tell. */
  readonly overdue: boolean;
  readonly sealed: Uint8Array | undefined;
}

/** How a call ended, as far as it is told. */
export type SharedEnd = Pick<StoredReplay, "sealed"> & { readonly ended: boolean };

export interface SharedReplayStoreOptions {
  readonly database: Pick<LedgerDatabase, "query">;
  /** This process. */
  readonly owner: string;
  readonly claimTtlMs: number;
  readonly answerTtlMs: number;
  /** Of all processes together. */
  readonly limits: ReplayLimits;
}

/** What processes that share PostgreSQL tell each other of repeatable calls. Rejects as the database does. */
export interface SharedReplayStore {
  /** True when the call is this process's from now on; for so long at most it runs. */
  claim(claim: Claim, runMs: number): Promise<boolean>;
  find(claim: Claim): Promise<SharedReplay | undefined>;
  /** Only of a call that is this process's. `ended` is false when it was interrupted, and is over all the same. */
  conclude(claim: Claim, end: SharedEnd): Promise<void>;
  /** Only of a call that is this process's. */
  release(claim: Claim): Promise<void>;
  /** Calls that are this process's and run, for all that is told of them; the newest, so many at most. */
  running(limit: number): Promise<readonly Claim[]>;
  /** Forgets what has expired or is too much, in small steps, unless another process is at it. */
  sweep(): Promise<void>;
}

const SWEEP_ROWS = 1_000;
const MAX_SWEEPS = 100;
/** Any constant: the advisory lock under which one process sweeps. */
const SWEEP_LOCK = "5507141029582";

/**
 * Does not wait for the server's disk: each process's own journal is durable, and after a power loss of the database
 * the others miss at most the last second. Local to the statement's transaction.
 */
const QUICKLY = `(SELECT set_config('synchronous_commit', 'off', true)) AS commit_setting`;

/** In order of the keys, so that two processes that insert the same ones do not wait for each other in a circle. */
const CLAIM = `
  INSERT INTO repeated_request AS r (api_key_id, request_id, fingerprint, owner, run_until, expires_at)
  SELECT api_key_id, request_id, fingerprint, $5::uuid, now() + run_ms::float8 * interval '1 millisecond',
    now() + $6::float8 * interval '1 millisecond'
  FROM unnest($1::text[], $2::text[], $3::text[], $4::text[]) AS c (api_key_id, request_id, fingerprint, run_ms),
    ${QUICKLY}
  ORDER BY api_key_id, request_id
  ON CONFLICT (api_key_id, request_id) DO UPDATE SET
    fingerprint = excluded.fingerprint, owner = excluded.owner, concluded = false, run_until = excluded.run_until,
    expires_at = excluded.expires_at, sequence = DEFAULT, sealed = NULL, sealed_bytes = NULL, sealed_until = NULL
  WHERE r.expires_at <= now()
  RETURNING api_key_id || ' ' || request_id AS call`;

const FIND = `
  SELECT fingerprint, owner::text AS owner, concluded, run_until < now() AS overdue,
    CASE WHEN sealed_until > now() THEN encode(sealed, 'base64') END AS sealed
  FROM repeated_request WHERE api_key_id = $1 AND request_id = $2 AND expires_at > now()`;

const CONCLUDE = `
  UPDATE repeated_request AS r SET concluded = e.ended, run_until = now(),
    sealed = decode(nullif(e.sealed, ''), 'base64'),
    sealed_bytes = CASE WHEN e.sealed <> '' THEN length(decode(e.sealed, 'base64')) END,
    sealed_until = CASE WHEN e.sealed <> '' THEN now() + $5::float8 * interval '1 millisecond' END
  FROM unnest($1::text[], $2::text[], $3::text[], $6::boolean[]) AS e (api_key_id, request_id, sealed, ended), ${QUICKLY}
  WHERE r.api_key_id = e.api_key_id AND r.request_id = e.request_id AND r.owner = $4::uuid`;

const RUNNING = `
  SELECT api_key_id, request_id, fingerprint FROM repeated_request
  WHERE owner = $1::uuid AND NOT concluded AND run_until > now() AND expires_at > now()
  ORDER BY sequence DESC LIMIT $2::bigint`;

const RELEASE = `
  DELETE FROM repeated_request AS r USING unnest($1::text[], $2::text[]) AS e (api_key_id, request_id), ${QUICKLY}
  WHERE r.api_key_id = e.api_key_id AND r.request_id = e.request_id AND r.owner = $3::uuid AND NOT r.concluded`;

const SWEEP_CLAIMS = `
  WITH turn AS MATERIALIZED (SELECT pg_try_advisory_xact_lock(${SWEEP_LOCK}) AS mine)
  DELETE FROM repeated_request WHERE sequence IN (
    SELECT sequence FROM (
      SELECT sequence, expires_at FROM repeated_request ORDER BY sequence LIMIT ${SWEEP_ROWS}
    ) AS oldest
    WHERE (SELECT mine FROM turn)
      AND (expires_at <= now() OR sequence <= (SELECT max(sequence) FROM repeated_request) - $1::bigint)
  ) RETURNING 1 AS swept`;

const SWEEP_ANSWERS = `
  WITH turn AS MATERIALIZED (SELECT pg_try_advisory_xact_lock(${SWEEP_LOCK}) AS mine)
  UPDATE repeated_request SET sealed = NULL, sealed_bytes = NULL, sealed_until = NULL
  WHERE (SELECT mine FROM turn) AND sealed IS NOT NULL AND (
    sealed_until <= now() OR sequence <= (
      SELECT max(sequence) FROM (
        SELECT sequence, sum(sealed_bytes) OVER (ORDER BY sequence DESC) AS newer_bytes
        FROM repeated_request WHERE sealed IS NOT NULL
      ) AS kept WHERE newer_bytes > $1::bigint
    )
  )`;

export function createSharedReplayStore(options: SharedReplayStoreOptions): SharedReplayStore {
  const { owner, claimTtlMs, answerTtlMs, limits } = options;
  const query: SqlQuery = options.database.query;

  const claims = createGrouped(async (items: readonly { claim: Claim; runMs: number }[]) => {
    const rows = await query(
      CLAIM,
      [
        items.map(({ claim }) => claim.apiKeyId),
        items.map(({ claim }) => claim.requestId),
        items.map(({ claim }) => claim.fingerprint),
        items.map(({ runMs }) => String(Math.ceil(runMs))),
        owner,
        String(claimTtlMs),
      ],
      "replay_claim",
    );
    const mine = new Set(rows.map(({ call }) => call));
    return items.map(({ claim }) => mine.has(`${claim.apiKeyId} ${claim.requestId}`));
  });

  const ends = createGrouped(async (items: readonly { claim: Claim; sealed: string; ended: boolean }[]) => {
    const [keys, ids] = [items.map(({ claim }) => claim.apiKeyId), items.map(({ claim }) => claim.requestId)];
    const [sealed, ended] = [items.map((item) => item.sealed), items.map((item) => String(item.ended))];
    await query(CONCLUDE, [keys, ids, sealed, owner, String(answerTtlMs), ended], "replay_conclude");
    return items.map(() => undefined);
  });

  return {
    claim: (claim, runMs) => claims.add({ claim, runMs }),
    async find({ apiKeyId, requestId }) {
      const [row] = await query(FIND, [apiKeyId, requestId], "replay_find");
      return (
        row && {
          fingerprint: String(row.fingerprint),
          owner: String(row.owner),
          concluded: row.concluded === true,
          overdue: row.overdue === true,
          sealed: typeof row.sealed === "string" ? Buffer.from(row.sealed, "base64") : undefined,
        }
      );
    },
    async conclude(claim, { ended, sealed }) {
      if (ends.waiting >= MAX_WAITING_ENDS) throw new RangeError("too many answers wait for the database");
      await ends.add({ claim, ended, sealed: Buffer.from(sealed ?? []).toString("base64") });
    },
    async running(limit) {
      const rows = await query(RUNNING, [owner, String(limit)]);
      return rows.map((row) => ({
        apiKeyId: String(row.api_key_id),
        requestId: String(row.request_id),
        fingerprint: String(row.fingerprint),
      }));
    },
    async release({ apiKeyId, requestId }) {
      await query(RELEASE, [[apiKeyId], [requestId], owner], "replay_release");
    },
    async sweep() {
      for (let time = 0; time < MAX_SWEEPS; time++) {
        const swept = await query(SWEEP_CLAIMS, [String(limits.maxClaims)]);
        if (swept.length < SWEEP_ROWS) break;
      }
      await query(SWEEP_ANSWERS, [String(limits.maxBytes)]);
    },
  };
}

/** Answers that may wait for a slow database; of more, the others learn nothing and call them unknown in the end. */
const MAX_WAITING_ENDS = 1_000;
