import { parentPort, workerData } from "node:worker_threads";
import {
  type JournalContent,
  type JournalOperation,
  type JournalRow,
  type JournalStore,
  type JournalStoreOptions,
  openJournalStore,
} from "./journal-store.ts";
import type { StoredReplay } from "./replay-table.ts";

/** What the journal's thread is asked, one question after the other. */
export type JournalQuestion =
  | { readonly kind: "content" }
  | { readonly kind: "commit"; readonly operations: readonly JournalOperation[] }
  | { readonly kind: "read"; readonly afterSequence: number; readonly limit: number }
  | { readonly kind: "recall"; readonly callKey: Uint8Array; readonly nowMs: number }
  | { readonly kind: "close" };

export interface JournalAnswers {
  readonly content: JournalContent;
  readonly commit: number;
  readonly read: readonly JournalRow[];
  readonly recall: StoredReplay | undefined;
  readonly close: undefined;
}

export type JournalReply =
  | { readonly id: number; readonly value: JournalAnswers[keyof JournalAnswers] }
  | { readonly id: number; readonly error: string };

/** The thread's part: opens the file when it is first needed, and again after every error. */
function serve(options: JournalStoreOptions): void {
  let store: JournalStore | undefined;

  const answer = (question: JournalQuestion): JournalAnswers[keyof JournalAnswers] => {
    if (question.kind === "close") {
      store?.close();
      parentPort?.close();
      return undefined;
    }
    store ??= openJournalStore(options);
    switch (question.kind) {
      case "content":
        return store.content();
      case "commit":
        return store.commit(question.operations);
      case "read":
        return store.read(question.afterSequence, question.limit);
      case "recall":
        return store.recall(question.callKey, question.nowMs);
      default:
        return question satisfies never;
    }
  };

  parentPort?.on("message", ({ id, question }: { id: number; question: JournalQuestion }) => {
    let reply: JournalReply;
    try {
      reply = { id, value: answer(question) };
    } catch (error) {
      // After a failed write or fsync only what a new opening finds in the file can be believed.
      closeQuietly(store);
      store = undefined;
      reply = { id, error: error instanceof Error ? error.message : String(error) };
    }
    parentPort?.postMessage(reply);
  });
}

function closeQuietly(store: JournalStore | undefined): void {
  try {
    store?.close();
  } catch {
    // The error that led here is the one to report.
  }
}

serve(workerData as JournalStoreOptions);
