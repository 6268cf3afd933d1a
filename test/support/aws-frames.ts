import { EventStreamCodec, Int64, type MessageHeaderValue } from "@smithy/core/event-streams";

const codec = new EventStreamCodec(
  (bytes) => (typeof bytes === "string" ? bytes : Buffer.from(bytes).toString("utf8")),
  (text) => Buffer.from(text, "utf8"),
);

/** One message of an AWS event stream, by the AWS SDK's own codec, as text that keeps every byte (`latin1`). */
export function awsFrame(
  headers: Readonly<Record<string, string | MessageHeaderValue>>,
  payload: unknown,
): string {
  const typed = Object.entries(headers).map(([name, value]): [string, MessageHeaderValue] => [
    name,
    typeof value === "string" ? { type: "string", value } : value,
  ]);
  const body = Buffer.from(typeof payload === "string" ? payload : JSON.stringify(payload));
  return Buffer.from(codec.encode({ headers: Object.fromEntries(typed), body })).toString("latin1");
}

/** A header of each type that there is, none of which says anything. */
export const HEADERS_OF_EVERY_TYPE: Readonly<Record<string, MessageHeaderValue>> = {
  t: { type: "boolean", value: true },
  f: { type: "boolean", value: false },
  byte: { type: "byte", value: 7 },
  short: { type: "short", value: 7 },
  integer: { type: "integer", value: 7 },
  long: { type: "long", value: Int64.fromNumber(7) },
  binary: { type: "binary", value: new Uint8Array([1, 2, 3]) },
  text: { type: "string", value: "x" },
  timestamp: { type: "timestamp", value: new Date(0) },
  uuid: { type: "uuid", value: "01a20ab9-e4a9-7d0b-a12b-4bdf0b3c74a1" },
};

export function awsEvent(type: string, payload: unknown): string {
  const headers = { ":message-type": "event", ":event-type": type, ":content-type": "application/json" };
  return awsFrame(headers, payload);
}

export function awsException(type: string, payload: unknown): string {
  return awsFrame({ ":message-type": "exception", ":exception-type": type }, payload);
}

/**
 * A fixture of a stream: one event a line, `{"<event type>": <payload>}` as Smithy writes a union, with an exception
 * told by the end of its name.
 */
export function awsStreamOf(lines: string): string {
  return lines
    .split("\n")
    .filter((line) => line.startsWith("{"))
    .map((line) => {
      const [[type, payload] = ["", {}]] = Object.entries(JSON.parse(line) as Record<string, unknown>);
      return type.endsWith("Exception") ? awsException(type, payload) : awsEvent(type, payload);
    })
    .join("");
}
