import type { ProviderAnswer, StreamEnd } from "../core/completion.ts";
import type {
  CompletionCall,
  CompletionResult,
  CompletionSink,
  Gateway,
  StreamResult,
} from "../core/gateway.ts";
import type { CallMemory } from "../core/replay.ts";
import { createDeliveryRecorder } from "./delivery-recorder.ts";
import {
  type Executed,
  type Execution,
  executeCompletion,
  type GatewayDependencies,
} from "./execute-completion.ts";
import type { Fingerprint } from "./fingerprint.ts";
import { type CallRecord, createRepeatableCalls, type RepeatableCall } from "./repeatable-calls.ts";
import type { Answered, Invoke } from "./run-attempt.ts";

export interface RunningGateway extends Gateway {
  /** Completions that have not ended, including those whose caller is gone already. */
  readonly active: number;
  /** Resolves when no completion is active. */
  idle(): Promise<void>;
}

export interface ReplayDependencies {
  readonly memory: CallMemory;
  readonly fingerprint: Fingerprint;
  /** Text of a streamed answer that is remembered for its repetitions at most. */
  readonly maxReplayBytes: number;
}

/** The use case: authorise → admit → route → attempt → price → settle. */
export function createGateway(dependencies: GatewayDependencies & ReplayDependencies): RunningGateway {
  const { clock, prices, router, maxReplayBytes } = dependencies;
  const repeatable = createRepeatableCalls(dependencies);
  let active = 0;
  let idleWaiters: (() => void)[] = [];

  async function execute<A extends Answered>(execution: Execution<A>): Promise<Executed<A>> {
    active += 1;
    try {
      return await executeCompletion(dependencies, execution);
    } finally {
      active -= 1;
      if (active === 0) {
        for (const wake of idleWaiters) wake();
        idleWaiters = [];
      }
    }
  }

  async function completeOnce(
    call: CompletionCall,
    record: CallRecord<ProviderAnswer> | undefined,
  ): Promise<CompletionResult> {
    const delivered = () => false;
    return unaryResult(await execute({ call, streamed: false, invoke: invokeUnary, delivered, record }));
  }

  async function streamOnce(
    call: CompletionCall,
    sink: CompletionSink,
    record: CallRecord<StreamEnd> | undefined,
  ): Promise<StreamResult> {
    return streamResult(await execute({ call, streamed: true, ...createDelivery(sink), record }));
  }

  const unaryCall = (call: CompletionCall): RepeatableCall<ProviderAnswer, CompletionResult> => ({
    call,
    method: "Complete",
    execute: (record) => completeOnce(call, record),
    conclusionOf: (end) => ({ kind: "completed", result: unaryResult(end) }),
    delivered: () => undefined,
    redeliver: () => Promise.resolve(),
    replay(conclusion) {
      if (conclusion.kind !== "completed") throw otherMethod();
      return { ...conclusion.result, replayed: true };
    },
  });

  const streamedCall = (
    call: CompletionCall,
    sink: CompletionSink,
  ): RepeatableCall<StreamEnd, StreamResult> => {
    const recorder = createDeliveryRecorder(sink, maxReplayBytes);
    return {
      call,
      method: "StreamComplete",
      execute: (record) => streamOnce(call, recorder, record),
      conclusionOf(end) {
        const delivered = recorder.delivered();
        if (!delivered || delivered === "too_large") return "not_kept";
        return { kind: "streamed", delivered, result: streamResult(end) };
      },
      delivered: () => recorder.delivered(),
      async redeliver({ provider, model, deltas }) {
        sink.started(provider, model);
        for (const delta of deltas) await sink.deltas([delta]);
      },
      replay(conclusion) {
        if (conclusion.kind !== "streamed") throw otherMethod();
        return { ...conclusion.result, replayed: true };
      },
    };
  };

  return {
    get active() {
      return active;
    },
    idle() {
      return active === 0 ? Promise.resolve() : new Promise((resolve) => idleWaiters.push(resolve));
    },
    complete(call) {
      return call.repeatable ? repeatable.run(unaryCall(call)) : completeOnce(call, undefined);
    },
    stream(call, sink) {
      return call.repeatable ? repeatable.run(streamedCall(call, sink)) : streamOnce(call, sink, undefined);
    },
    models(principal) {
      const at = clock.now();
      return router.names(principal).map(({ name, chain }) => ({
        name,
        chain: chain.map((candidate) => ({ ...candidate, price: prices.find({ ...candidate, at }) })),
      }));
    },
  };
}

/** The method is a part of the fingerprint. */
const otherMethod = () => new TypeError("the answer of one method cannot be replayed by another");

function unaryResult({ answer, candidate, attempts }: Executed<ProviderAnswer>): CompletionResult {
  return { ...candidate, choices: answer.choices, attempts, replayed: false };
}

function streamResult({ answer, candidate, attempts }: Executed<StreamEnd>): StreamResult {
  return { ...candidate, finishReasons: answer.finishReasons, attempts, replayed: false };
}

const invokeUnary: Invoke<ProviderAnswer> = async (provider, call) => {
  const answer = await provider.complete(call);
  return { answer, received: { outputBytes: answer.outputBytes, deltas: 0 } };
};

/** Passes a stream on to the caller and remembers whether anything was delivered. */
function createDelivery(sink: CompletionSink): { invoke: Invoke<StreamEnd>; delivered: () => boolean } {
  let started = false;
  return {
    delivered: () => started,
    invoke: async (provider, call, { onFirstToken, onDeltas }) => {
      const start = () => {
        if (started) return;
        started = true;
        onFirstToken();
        sink.started(provider.name, call.model);
      };
      const answer = await provider.stream(call, (deltas) => {
        start();
        onDeltas(deltas);
        return sink.deltas(deltas);
      });
      start();
      return { answer, received: answer };
    },
  };
}
