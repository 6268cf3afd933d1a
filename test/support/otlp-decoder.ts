import { BinaryReader } from "@bufbuild/protobuf/wire";

/** A span, as far as tests look at it. */
export interface DecodedSpan {
  readonly name: string;
  readonly traceId: string;
  readonly spanId: string;
  readonly parentSpanId: string;
  /** OTLP's number: 2 is SERVER, 3 is CLIENT. */
  readonly kind: number;
  readonly attributes: Readonly<Record<string, string | number | boolean>>;
}

type Fields = ReadonlyMap<number, readonly (Uint8Array | number | bigint)[]>;

/** The spans of an ExportTraceServiceRequest in protobuf, by the field numbers of opentelemetry-proto 1. */
export function decodeSpans(request: Uint8Array): readonly DecodedSpan[] {
  return messages(request, 1)
    .flatMap((resourceSpans) => messages(resourceSpans, 2))
    .flatMap((scopeSpans) => messages(scopeSpans, 2))
    .map((span) => {
      const fields = fieldsOf(span);
      const hex = (number: number) => Buffer.from(bytesIn(fields, number)).toString("hex");
      return {
        name: textIn(fields, 5),
        traceId: hex(1),
        spanId: hex(2),
        parentSpanId: hex(4),
        kind: Number(fields.get(6)?.[0] ?? 0),
        attributes: Object.fromEntries(messages(span, 9).map(attribute)),
      };
    });
}

function attribute(keyValue: Uint8Array): readonly [string, string | number | boolean] {
  const fields = fieldsOf(keyValue);
  const value = fieldsOf(bytesIn(fields, 2));
  const key = textIn(fields, 1);
  if (value.has(1)) return [key, textIn(value, 1)];
  if (value.has(2)) return [key, value.get(2)?.[0] === 1n];
  return [key, Number(value.get(3)?.[0] ?? value.get(4)?.[0] ?? Number.NaN)];
}

function messages(message: Uint8Array, number: number): readonly Uint8Array[] {
  return (fieldsOf(message).get(number) ?? []).filter((value) => value instanceof Uint8Array);
}

function bytesIn(fields: Fields, number: number): Uint8Array {
  const value = fields.get(number)?.[0];
  return value instanceof Uint8Array ? value : new Uint8Array();
}

function textIn(fields: Fields, number: number): string {
  return Buffer.from(bytesIn(fields, number)).toString("utf8");
}

const VARINT = 0;
const FIXED_64 = 1;
const BYTES = 2;
const FIXED_32 = 5;

function fieldsOf(message: Uint8Array): Fields {
  const fields = new Map<number, (Uint8Array | number | bigint)[]>();
  const reader = new BinaryReader(message);
  while (reader.pos < reader.len) {
    const [number, wireType] = reader.tag();
    const values = fields.get(number) ?? [];
    fields.set(number, values);
    if (wireType === VARINT) values.push(BigInt(reader.uint64()));
    else if (wireType === FIXED_64) values.push(reader.double());
    else if (wireType === BYTES) values.push(reader.bytes());
    else if (wireType === FIXED_32) values.push(reader.fixed32());
    else throw new Error(`wire type ${wireType} in a span`);
  }
  return fields;
}
