import { type DestinationStream, type Logger, pino, stdTimeFunctions } from "pino";
import { createLineSink } from "./line-sink.ts";
import type { Redactor } from "./redact.ts";

export type LogLevel = "trace" | "debug" | "info" | "warn" | "error" | "fatal" | "silent";

export type LogFields = Readonly<Record<string, string | number | boolean | readonly string[] | undefined>>;

/** Structured lines: an event and its fields, which are redacted. Never pass on what a caller or a provider sent. */
export interface Log {
  info(event: string, fields?: LogFields): void;
  warn(event: string, fields?: LogFields, error?: unknown): void;
  error(event: string, fields?: LogFields, error?: unknown): void;
}

export interface LogOptions {
  /** Default `info`. */
  readonly level?: LogLevel | undefined;
  /** Where lines go, one JSON object each; default the file descriptor 1, written asynchronously. */
  readonly stream?: DestinationStream | undefined;
  readonly redactor: Redactor;
  readonly onDropped: () => void;
}

export interface LogWriter extends Log {
  /** Writes a line whose fields were chosen and redacted already. */
  readonly lines: Pick<Logger, "info" | "warn" | "error">;
  flush(): Promise<void>;
}

/** What waits for a slow reader at most; beyond it lines are dropped rather than memory used up. */
const MAX_WAITING_CHARACTERS = 8 * 1024 * 1024;

export function createLog({ level = "info", stream, redactor, onDropped }: LogOptions): LogWriter {
  const standardOutput = createLineSink({ fd: 1, maxWaitingCharacters: MAX_WAITING_CHARACTERS, onDropped });
  const lines = pino(
    {
      level,
      base: null,
      messageKey: "event",
      timestamp: stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
    },
    stream ?? standardOutput,
  );
  const toLine = (fields: LogFields = {}, error?: unknown) => ({
    ...redactFields(fields, redactor),
    ...(error === undefined ? {} : toErrorFields(error, redactor)),
  });
  return {
    lines,
    flush: () => standardOutput.flush(),
    info: (event, fields) => lines.info(toLine(fields), event),
    warn: (event, fields, error) => lines.warn(toLine(fields, error), event),
    error: (event, fields, error) => lines.error(toLine(fields, error), event),
  };
}

/** How an error appears on a line. */
export function toErrorFields(error: unknown, redactor: Redactor): LogFields {
  const { class: errorClass, message, stack } = redactor.describe(error);
  return { error_class: errorClass, error_message: message, error_stack: stack };
}

function redactFields(fields: LogFields, redactor: Redactor): LogFields {
  const redacted: Record<string, LogFields[string]> = {};
  for (const [name, value] of Object.entries(fields)) {
    redacted[name] = typeof value === "string" ? redactor.redact(value) : value;
  }
  return redacted;
}
