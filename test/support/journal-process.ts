import { newId } from "../../src/core/ids.ts";
import { openJournal } from "../../src/ledger/journal.ts";

/**
 * A process of its own that opens the journal in the directory it is given and writes attempts until it is killed:
 * `o <id>` and `s <id>` tell of each intent and each outcome that was acknowledged.
 */
const journal = await openJournal({ directory: process.argv[2] ?? "" });
const writeForEver = async (): Promise<never> => {
  for (;;) {
    const attemptId = newId();
    await journal.add([{ kind: "open", attemptId, json: `{"attemptId":"${attemptId}"}` }], "refuse");
    process.stdout.write(`o ${attemptId}\n`);
    const json = `{"attempt_id":"${attemptId}","filling":"${"x".repeat(600)}"}`;
    const row = { kind: "row", table: "cost_record", json, priceId: undefined, attemptId } as const;
    await journal.add([row], "keep");
    process.stdout.write(`s ${attemptId}\n`);
  }
};
await Promise.all(Array.from({ length: 8 }, writeForEver));
