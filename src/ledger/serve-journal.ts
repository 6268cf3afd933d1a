import { mkdirSync } from "node:fs";
import { dirname } from "node:path";
import type { MessagePort } from "node:worker_threads";
import type { JournalContent } from "./journal-content.ts";
import type { JournalBatch } from "./journal-lines.ts";
import { createJournalReserve, isNoRoom, type JournalReserve } from "./journal-reserve.ts";
import type { JournalCommit, JournalRow, JournalStore, JournalStoreOptions } from "./journal-store.ts";
import type { StoredReplay } from "./replay-table.ts";

/** What the journal's thread is asked, one question after the other. */
export type JournalQuestion =
  | { readonly kind: "content" }
  | { readonly kind: "commit"; readonly batch: JournalBatch }
  /** Whether the disk takes writes and has room for what may come. */
  | { readonly kind: "probe" }
  | { readonly kind: "read"; readonly afterSequence: number; readonly limit: number }
  | { readonly kind: "recall"; readonly callKey: Uint8Array; readonly nowMs: number }
  | { readonly kind: "close" };

export interface JournalAnswers {
  readonly content: JournalContent;
  readonly commit: JournalCommit;
  /** What is missing, if anything is. */
  readonly probe: string | undefined;
  readonly read: readonly JournalRow[];
  readonly recall: StoredReplay | undefined;
  readonly close: undefined;
}

export type JournalReply =
  | { readonly id: number; readonly value: JournalAnswers[keyof JournalAnswers] }
  | { readonly id: number; readonly error: string };

/** What the journal's thread is started with. */
export type JournalThreadOptions = Pick<JournalStoreOptions, "file" | "maxBytes" | "replayLimits">;

/** The thread's part: opens the file when it is first needed, and again after every error. */
export function serveJournal(
  port: MessagePort,
  options: JournalThreadOptions,
  openStore: (options: JournalStoreOptions) => JournalStore,
): void {
  let store: JournalStore | undefined;
  let reserve: JournalReserve | undefined;
  let lacksRoom = false;

  function open(): JournalStore {
    const isFirst = reserve === undefined;
    const directory = dirname(options.file);
    mkdirSync(directory, { recursive: true, mode: 0o700 });
    reserve ??= createJournalReserve(directory);
    const opened = openStore({ ...options, maxLogBytes: reserve.bytes / 2, check: isFirst });
    if (lacksRoom) quietly(() => opened.giveUpAnswers());
    lacksRoom = false;
    return opened;
  }

  function probe(opened: JournalStore): string | undefined {
    if (!opened.probe()) {
      opened.giveUpAnswers();
      if (!opened.probe()) return "the file is as large as it may be";
    }
    if (reserve?.fill()) return undefined;
    // What the journal does not need any more may be just what is missing.
    opened.giveUpAnswers();
    opened.shrink();
    return reserve?.fill() ? undefined : "the disk is full";
  }

  const answer = (question: JournalQuestion): JournalAnswers[keyof JournalAnswers] => {
    if (question.kind === "close") {
      store?.close();
      port.close();
      return undefined;
    }
    store ??= open();
    switch (question.kind) {
      case "content":
        return store.content();
      case "commit":
        return store.commit(question.batch);
      case "probe":
        return probe(store);
      case "read":
        return store.read(question.afterSequence, question.limit);
      case "recall":
        return store.recall(question.callKey, question.nowMs);
      default:
        return question satisfies never;
    }
  };

  port.on("message", ({ id, question }: { id: number; question: JournalQuestion }) => {
    let reply: JournalReply;
    try {
      reply = { id, value: answer(question) };
    } catch (error) {
      // After a failed write or fsync only what a new opening finds in the file can be believed.
      quietly(() => store?.close());
      store = undefined;
      lacksRoom = isNoRoom(error);
      if (lacksRoom) quietly(() => reserve?.release(isTrimming(question) ? "trimming" : "outcomes"));
      reply = { id, error: error instanceof Error ? error.message : String(error) };
    }
    port.postMessage(reply);
  });
}

const isTrimming = (question: JournalQuestion): boolean =>
  question.kind === "commit" && question.batch.others.some(({ kind }) => kind === "trim");

function quietly(work: () => void): void {
  try {
    work();
  } catch {
    // The error that led here is the one to report.
  }
}
