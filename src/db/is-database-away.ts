/** What the network says of a server that is not there, restarts, or cannot be found for the moment. */
const NETWORK_CODES: ReadonlySet<string> = new Set([
  ...[
    "ECONNREFUSED",
    "ECONNRESET",
    "EPIPE",
    "ETIMEDOUT",
    "EHOSTUNREACH",
    "EHOSTDOWN",
    "ENETUNREACH",
    "ENETDOWN",
  ],
  ...["ENOTFOUND", "EAI_AGAIN"],
]);

/**
 * SQLSTATEs that pass without anybody changing the configuration: connection exceptions (08), a server that is read
 * only after a failover (25006), serialization and deadlock (40), no disk, memory or connection left (53), a lock that
 * others hold (55P03), shutdown, start-up and cancelled statements (57), I/O errors (58).
 * https://www.postgresql.org/docs/18/errcodes-appendix.html
 */
const PASSING_STATES = /^(08...|25006|40...|53...|55P03|57...|58...)$/;

/** Errors of `pg` without a code: a connection that was lost or not made in time, an answer that did not come. */
const PASSING_MESSAGES =
  /^(Connection terminated|timeout exceeded when trying to connect|Query read timeout)/;

/**
 * Whether PostgreSQL is away, so that trying again later may help. Everything else (a wrong password, an unknown
 * database, a migration that fails, a certificate that is not trusted) stays until somebody mends it.
 */
export function isDatabaseAway(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  const code = "code" in error ? error.code : undefined;
  if (typeof code === "string" && (NETWORK_CODES.has(code) || PASSING_STATES.test(code))) return true;
  if (code === undefined && PASSING_MESSAGES.test(error.message)) return true;
  return isDatabaseAway(error.cause);
}
