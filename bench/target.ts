/** Told how a call went: why it failed, if it did, and how many messages came. */
export type Done = (failure: string | undefined, messages: number) => void;

/** Something that takes one kind of call. Its connections are its own. */
export interface Target {
  /** Makes one call; `done` is called exactly once, later. */
  send(done: Done): void;
  close(): Promise<void>;
}
