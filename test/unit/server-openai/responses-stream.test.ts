import { expect, test } from "vitest";
import type { StreamDelta } from "../../../src/core/completion.ts";
import type { StreamResult } from "../../../src/core/gateway.ts";
import { parseResponsesRequest } from "../../../src/server/openai/responses-request.ts";
import { ResponsesStreamWriter } from "../../../src/server/openai/responses-stream.ts";

const FACTS = '{"request_id":"r1"}';
const result = (more: Partial<StreamResult> = {}): StreamResult => ({
  ...{ provider: "openai", model: "gpt-6", attempts: [], replayed: true },
  finishReasons: [{ choiceIndex: 0, finishReason: "tool_calls" }],
  ...more,
});

function writerFor(body: object): ResponsesStreamWriter {
  const bytes = Buffer.from(JSON.stringify({ model: "openai/gpt-6", input: "Hi", stream: true, ...body }));
  const writer = new ResponsesStreamWriter(parseResponsesRequest(bytes), "r1");
  writer.started("gpt-6");
  return writer;
}

type WrittenEvent = Readonly<Record<string, unknown>> & { readonly type: string };

/** Each event of the text; its name is its type. */
function eventsIn(text: string): readonly WrittenEvent[] {
  return text
    .trimEnd()
    .split("\n\n")
    .map((written) => {
      const [name, data = ""] = written.split("\n");
      const event = JSON.parse(data.slice("data: ".length)) as WrittenEvent;
      expect(name).toBe(`event: ${event.type}`);
      return event;
    });
}

const call = (
  toolIndex: number,
  more: Partial<Extract<StreamDelta, { kind: "tool_call" }>>,
): StreamDelta => ({
  ...{ kind: "tool_call", choiceIndex: 0, toolIndex, id: undefined, name: undefined, argumentsDelta: "" },
  ...more,
});

test("a repetition opens and closes each item once, also of calls that were written at the same time", () => {
  const writer = writerFor({ tools: [{ type: "custom", name: "run" }] });
  const text =
    writer.deltas([
      { kind: "reasoning", choiceIndex: 0, text: "Hm." },
      { kind: "text", choiceIndex: 0, text: "One" },
      call(0, { id: "c0", name: "look", argumentsDelta: '{"a"' }),
      call(1, { id: "c1", name: "run", argumentsDelta: "l" }),
    ]) +
    writer.deltas([call(0, { argumentsDelta: ":1}" }), call(1, { argumentsDelta: "s" })]) +
    writer.end(result(), FACTS);
  const events = eventsIn(text);
  expect(events.map(({ sequence_number }) => sequence_number)).toEqual(events.map((_, index) => index));
  const done = events.filter(({ type }) => type === "response.output_item.done");
  expect(done.map(({ output_index }) => output_index)).toEqual([0, 1, 2, 3]);
  expect(events.filter(({ type }) => type === "response.output_item.added")).toHaveLength(4);
  const last = events.at(-1);
  expect(last).toMatchObject({
    type: "response.completed",
    llm_gateway: { request_id: "r1" },
    response: {
      id: "resp_r1",
      output: [
        { type: "reasoning", summary: [{ text: "Hm." }] },
        { type: "message", content: [{ type: "output_text", text: "One" }] },
        { type: "function_call", call_id: "c0", name: "look", arguments: '{"a":1}' },
        { type: "custom_tool_call", call_id: "c1", name: "run", input: "ls" },
      ],
    },
  });
  const deltas = events.filter(({ type }) => type === "response.custom_tool_call_input.delta");
  expect(deltas.map(({ delta }) => delta)).toEqual(["l", "s"]);
});

test("a repetition of an answer without any text is whole, too", () => {
  const finishReasons = [{ choiceIndex: 0, finishReason: "content_filter" as const }];
  const events = eventsIn(writerFor({}).end(result({ finishReasons }), FACTS));
  expect(events.map(({ type }) => type)).toEqual([
    "response.created",
    "response.in_progress",
    "response.incomplete",
  ]);
  expect(events[2]?.response).toMatchObject({ incomplete_details: { reason: "content_filter" }, output: [] });
});

test("the last event of a provider keeps its name and its lines", () => {
  const writer = writerFor({});
  const native = { tail: "data: {}\n\n", usageJson: '{"type":\n"x"}', usageEvent: "response.completed" };
  expect(writer.end(result({ native }), FACTS)).toBe(
    'data: {}\n\nevent: response.completed\ndata: {"type":\ndata: "x","llm_gateway":{"request_id":"r1"}}\n\n',
  );
  expect(writer.end(result({ native: { ...native, usageEvent: undefined } }), FACTS)).not.toContain("event:");
});

test("an error goes on counting where the provider stopped", () => {
  const writer = writerFor({});
  const error = { error: { message: "m", type: "server_error", code: "x", param: null } };
  expect(writer.fail(error, FACTS)).toContain('"sequence_number":0,');
  writer.relay('data: {"type":"a","sequence_number":6}\n\ndata: {"type":"b","sequence_number": 7}\n\n');
  const [event] = eventsIn(writer.fail(error, FACTS));
  expect(event).toEqual({
    ...{ type: "error", message: "m", code: "x", param: null, sequence_number: 8 },
    ...error,
    llm_gateway: { request_id: "r1" },
  });
});
