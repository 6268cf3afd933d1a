import { countTokens } from "gpt-tokenizer/encoding/o200k_base";
import { afterAll, expect, it } from "vitest";
import { createTokenizer } from "../../../src/pricing/tokenizer.ts";

/** Long enough for a thread to load on a busy machine. */
const PATIENT_MS = 20_000;

const tokenizer = createTokenizer();
afterAll(() => tokenizer.close());

const WORDS = "The journal commits in groups: the next batch is sent when the last one is durable. ";

it("counts texts as o200k_base does, each by itself", async () => {
  const texts = [
    "",
    "Hello, world!",
    "Grüße, 你好, 🌍 señor",
    '{"city":"Zürich","days":[1,2,3]}',
    "w00 w01 w02 ",
  ];
  expect(await tokenizer.count(texts, PATIENT_MS)).toEqual(texts.map((text) => countTokens(text)));
  expect(await tokenizer.count(["Hello, world!"], PATIENT_MS)).toEqual([4]);
});

it("takes the name of a special token for text", async () => {
  const [tokens] = (await tokenizer.count(["<|endoftext|>"], PATIENT_MS)) ?? [];
  expect(tokens).toBeGreaterThan(1);
});

it("counts a long text in pieces, which adds next to nothing", async () => {
  const text = WORDS.repeat(500);
  const [tokens = 0] = (await tokenizer.count([text], PATIENT_MS)) ?? [];
  const exact = countTokens(text);
  expect(tokens).toBeGreaterThanOrEqual(exact);
  expect(tokens).toBeLessThanOrEqual(exact * 1.005);
});

it("is not held up by a run of letters without a space", async () => {
  const startedMs = performance.now();
  const [tokens] = (await tokenizer.count(["你好世界".repeat(4_000)], PATIENT_MS)) ?? [];
  expect(tokens).toBeGreaterThan(7_000);
  // As one piece it takes a second.
  expect(performance.now() - startedMs).toBeLessThan(500);
});

it("says nothing when it takes too long, and counts on afterwards without what nobody waits for", async () => {
  const cold = createTokenizer();
  expect(await cold.count(["too early"], 1)).toBeUndefined();
  expect(await cold.count(["Hello, world!"], PATIENT_MS)).toEqual([4]);
  const late = Array.from({ length: 20 }, () => cold.count([WORDS.repeat(700)], 0));
  expect(await cold.count(["Hello, world!"], PATIENT_MS)).toEqual([4]);
  expect((await Promise.all(late)).filter((tokens) => tokens === undefined).length).toBeGreaterThan(10);
  await cold.close();
});

it("takes no more than so many at once", async () => {
  const flooded = createTokenizer();
  const counts = await Promise.all(
    Array.from({ length: 600 }, () => flooded.count(["Hello, world!"], PATIENT_MS)),
  );
  expect(counts.filter((tokens) => tokens === undefined)).toHaveLength(100);
  await flooded.close();
});

it("answers at once when it is closed, also what was asked before", async () => {
  const closing = createTokenizer();
  const asked = closing.count(["Hello, world!"], PATIENT_MS);
  await closing.close();
  expect(await asked).toBeUndefined();
  expect(await closing.count(["Hello, world!"], PATIENT_MS)).toBeUndefined();
});

it("does without a thread that ends, and does not start it anew for every count", async () => {
  const broken = createTokenizer({ thread: new URL("data:text/javascript,throw new Error('broken')") });
  expect(await broken.count(["Hello, world!"], PATIENT_MS)).toBeUndefined();
  let isOver = false;
  void broken.count(["Hello, world!"], PATIENT_MS).then(() => {
    isOver = true;
  });
  // No thread can have begun and ended in the meantime.
  await Promise.resolve();
  expect(isOver).toBe(true);
  await broken.close();
});
