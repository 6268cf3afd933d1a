import type { IncomingHttpHeaders } from "node:http";
import { accountOf, KEY_HEADERS } from "./accounts.ts";

/** What arrived at the simulator, for tests that assert what was sent. */
export interface RequestObservation {
  readonly callId: string;
  readonly method: string;
  /** With the query. */
  readonly path: string;
  /** Names in lower case. Values that hold a key are replaced by `sha256:` and 12 hex digits of their hash. */
  readonly headers: Readonly<Record<string, string | readonly string[] | undefined>>;
  /** Parsed JSON, or the text when it is none. Text longer than 256 KiB is kept only up to there. */
  readonly body: unknown;
  /** Milliseconds since 1970, when the headers had arrived. */
  readonly startedAt: number;
  /** The client went away before the answer was complete. */
  readonly aborted: boolean;
  readonly abortedAfterMs: number | undefined;
}

/** An observation that is still being made. */
export interface OpenObservation {
  readonly callId: string;
  readonly method: string;
  readonly path: string;
  readonly headers: IncomingHttpHeaders;
  bodyText: string;
  readonly startedAt: number;
  abortedAfterMs: number | undefined;
}

const MAX_OBSERVATIONS = 1_000;
const MAX_BODY_CHARACTERS = 256 * 1024;

function redactKeys(headers: IncomingHttpHeaders): IncomingHttpHeaders {
  const redacted = { ...headers };
  for (const name of KEY_HEADERS) {
    const value = headers[name];
    if (typeof value === "string") redacted[name] = accountOf(value);
  }
  return redacted;
}

function parseBody(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

/** Keeps the latest 1,000 requests. Hashing and parsing wait until somebody looks. */
export class RequestLog {
  #ring: OpenObservation[] = [];
  #recorded = 0;

  record(observation: OpenObservation): void {
    if (observation.bodyText.length > MAX_BODY_CHARACTERS) {
      observation.bodyText = observation.bodyText.slice(0, MAX_BODY_CHARACTERS);
    }
    this.#ring[this.#recorded % MAX_OBSERVATIONS] = observation;
    this.#recorded += 1;
  }

  /** The kept observations, oldest first. */
  recent(): readonly RequestObservation[] {
    const oldest = this.#recorded > MAX_OBSERVATIONS ? this.#recorded % MAX_OBSERVATIONS : 0;
    const ordered = [...this.#ring.slice(oldest), ...this.#ring.slice(0, oldest)];
    return ordered.map(({ bodyText, headers, ...rest }) => ({
      ...rest,
      headers: redactKeys(headers),
      body: parseBody(bodyText),
      aborted: rest.abortedAfterMs !== undefined,
    }));
  }

  clear(): void {
    this.#ring = [];
    this.#recorded = 0;
  }
}
