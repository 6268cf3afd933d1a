import { expect, test } from "vitest";
import { LostRaceError, lostRace, tooLate } from "../../../src/gateway/lost-race.ts";

test("an answer that came too late keeps all that is known of what it costs", () => {
  const stated = {
    usage: { kind: "absent" },
    providerCostPicoUsd: 7n,
    chargesBeyondTokens: true,
    providerRequestId: "req-1",
  } as const;
  const received = { outputBytes: 3, deltas: 1 };
  const error = tooLate({ ...stated, responseModel: undefined, outputBytes: 3 }, received);
  expect(error).toMatchObject({ reason: "CANCELLED", billing: "maybe_billed", received, ...stated });
});

test("only who was given up for another candidate has lost a race", () => {
  const controller = new AbortController();
  expect(lostRace(controller.signal)).toBe(false);
  controller.abort(new LostRaceError());
  expect(lostRace(controller.signal)).toBe(true);
  expect(lostRace(AbortSignal.abort(new Error("the caller left")))).toBe(false);
});
