import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { createReadiness, type Readiness } from "../../src/readiness.ts";

let readiness: Readiness;
let ping: () => Promise<void>;
const ledger = { ready: true };
beforeEach(() => {
  vi.useFakeTimers();
  ledger.ready = true;
  ping = async () => {};
});
afterEach(() => {
  readiness.stop();
  vi.useRealTimers();
});

function start(databaseAnswers = true): boolean[] {
  readiness = createReadiness({ ping: () => ping(), databaseAnswers, ledger });
  const told: boolean[] = [];
  readiness.onChange((ready) => told.push(ready));
  return told;
}

test("a database that is away does not make it unready while the ledger takes records", async () => {
  const told = start();
  ping = () => Promise.reject(new Error("connection refused"));
  await vi.advanceTimersByTimeAsync(1_000);
  expect(readiness).toMatchObject({ ready: true, databaseAnswers: false });
  ping = async () => {};
  await vi.advanceTimersByTimeAsync(1_000);
  expect(readiness.databaseAnswers).toBe(true);
  expect(told).toEqual([]);
});

test("a database that says nothing is away after two seconds", async () => {
  start();
  ping = () => new Promise(() => {});
  await vi.advanceTimersByTimeAsync(2_900);
  expect(readiness.databaseAnswers).toBe(true);
  await vi.advanceTimersByTimeAsync(200);
  expect(readiness.databaseAnswers).toBe(false);
});

test("it is unready while the ledger takes nothing, and those who listen are told", async () => {
  const told = start();
  ledger.ready = false;
  expect(readiness.ready).toBe(false);
  await vi.advanceTimersByTimeAsync(1_000);
  ledger.ready = true;
  await vi.advanceTimersByTimeAsync(1_000);
  expect(told).toEqual([false, true]);
});

test("it begins with what the start found out, and looks at once when it is told to", async () => {
  ledger.ready = false;
  const told = start(false);
  expect(readiness).toMatchObject({ ready: false, databaseAnswers: false });
  ledger.ready = true;
  await readiness.check();
  expect(readiness).toMatchObject({ ready: true, databaseAnswers: true });
  expect(told).toEqual([true]);
});

test("once it drains it stays unready", async () => {
  const told = start();
  readiness.drain();
  await vi.advanceTimersByTimeAsync(3_000);
  expect(readiness.ready).toBe(false);
  expect(told).toEqual([false]);
});
