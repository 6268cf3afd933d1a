import { BACKOFF, CONNECT_TIMEOUT, type Expected, type FaultCase, NOT_BILLED } from "./fault-case.ts";

/** No connection, so no call: it is tried again, and costs nothing. */
const unreachable: Expected = {
  ...{ failure: "PROVIDER_UNREACHABLE", failures: 3, next: true, ledger: NOT_BILLED, takes: BACKOFF },
};
const both = (expected: Expected) => ({ unary: expected, stream: expected });
const alike = both(unreachable);

export const UNREACHABLE: readonly FaultCase[] = [
  { fault: "connection refused", group: "refused", ...alike },
  { fault: "host name unknown", group: "nameless", ...alike },
  { fault: "certificate not trusted", group: "untrusted", ...alike },
  { fault: "no TLS where it is expected", group: "plaintext", ...alike },
  {
    fault: "silent during the TLS handshake",
    group: "handshake",
    ...both({ failure: "PROVIDER_TIMEOUT", next: true, ledger: NOT_BILLED, takes: CONNECT_TIMEOUT }),
  },
];
