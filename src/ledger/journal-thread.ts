import { Worker } from "node:worker_threads";
import type { JournalAnswers, JournalQuestion, JournalReply, JournalThreadOptions } from "./serve-journal.ts";

/** The journal's file behind a thread of its own, so that no fsync holds up the event loop. */
export interface JournalThread {
  /** Answers come in the order of the questions. Rejects with what the file or the thread had to say. */
  ask<Q extends JournalQuestion>(question: Q): Promise<JournalAnswers[Q["kind"]]>;
  /** Closes the file and ends the thread. */
  close(): Promise<void>;
}

interface Waiting {
  readonly id: number;
  readonly resolve: (value: never) => void;
  readonly reject: (error: Error) => void;
}

/** The program of the thread calls `serveJournal`. */
export const JOURNAL_PROGRAM = new URL("./journal-worker.ts", import.meta.url);

/** The thread starts with the first question, and again with the next one after it died. */
export function createJournalThread(options: JournalThreadOptions, program: URL): JournalThread {
  /** In the order of the questions, which is that of the answers. */
  let waiting: Waiting[] = [];
  let nextId = 1;
  let worker: Worker | undefined;
  let closed = false;

  function start(): Worker {
    const started = new Worker(program, {
      workerData: options,
      execArgv: [],
      name: "journal",
    });
    started.on("message", (reply: JournalReply) => {
      const asked = waiting[0]?.id === reply.id ? waiting.shift() : undefined;
      if ("error" in reply) asked?.reject(new Error(`the journal failed: ${reply.error}`));
      else asked?.resolve(reply.value as never);
    });
    const onEnd = (detail: string) => {
      if (worker === started) worker = undefined;
      const unanswered = waiting;
      waiting = [];
      for (const { reject } of unanswered) reject(new Error(`the journal's thread ended: ${detail}`));
    };
    started.on("error", (error) => onEnd(error instanceof Error ? error.message : String(error)));
    started.on("exit", (code) => onEnd(`exit code ${code}`));
    return started;
  }

  function ask<Q extends JournalQuestion>(question: Q): Promise<JournalAnswers[Q["kind"]]> {
    // A question that comes late must not open the file again: it may be another process's by now.
    if (closed) return Promise.reject(new Error("the journal is closed"));
    worker ??= start();
    const id = nextId++;
    const target = worker;
    return new Promise((resolve, reject) => {
      waiting.push({ id, resolve, reject });
      target.postMessage({ id, question });
    });
  }

  return {
    ask,
    async close() {
      const running = worker;
      if (closed || !running) {
        closed = true;
        return;
      }
      const ended = new Promise((resolve) => running.once("exit", resolve));
      // The thread may end before its reply arrives; what counts is that it ended.
      const asked = ask({ kind: "close" }).catch(() => {});
      closed = true;
      await Promise.race([asked, ended]);
      await ended;
    },
  };
}
