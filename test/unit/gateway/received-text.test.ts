import { expect, test } from "vitest";
import { ReceivedText } from "../../../src/gateway/received-text.ts";
import { MAX_COUNTED_CHARACTERS } from "../../../src/pricing/usage-estimator.ts";

test("text, reasoning, names and arguments of tool calls are output, in the order in which they came", () => {
  const output = new ReceivedText();
  const call = { kind: "tool_call", choiceIndex: 0, toolIndex: 0 } as const;
  output.addDeltas([
    { kind: "reasoning", choiceIndex: 0, text: "Hm. " },
    { kind: "text", choiceIndex: 0, text: "é" },
    { ...call, id: "1", name: "find", argumentsDelta: "" },
    { ...call, id: undefined, name: undefined, argumentsDelta: "{}" },
  ]);
  expect(output.text).toBe("Hm. éfind{}");
  expect(output.received).toEqual({ outputBytes: 12, deltas: 4 });
});

test("no more is kept than is ever counted, but all of it is measured", () => {
  const output = new ReceivedText();
  for (let index = 0; index < 1_000; index += 1)
    output.addDeltas([{ kind: "text", choiceIndex: 0, text: `${index} `.padStart(100, "x") }]);
  expect(output.text).toHaveLength(MAX_COUNTED_CHARACTERS);
  expect(output.text.startsWith(`${"0 ".padStart(100, "x")}${"1 ".padStart(100, "x")}`)).toBe(true);
  expect(output.received).toEqual({ outputBytes: 100_000, deltas: 1_000 });
});
