import {
  Health,
  type HealthCheckResponse,
  HealthCheckResponse_ServingStatus as Status,
} from "../../../gen/es/grpc/health/v1/health_pb.ts";
import { GatewayError } from "../../core/errors.ts";
import { type RpcMethod, serverStreaming, unary } from "../rpc/rpc-method.ts";
import { unlessAborted } from "../rpc/unless-aborted.ts";

/** A watch has no end of its own. */
const NEVER: Promise<void> = new Promise(() => {});

/** Whether the process takes calls: false while it starts, drains, or cannot keep records. */
export interface HealthSource {
  readonly serving: boolean;
  /** Calls back after each change; the returned function ends that. */
  onChange(listener: () => void): () => void;
}

export interface HealthOptions {
  readonly source: HealthSource;
  /** Fully qualified names of the services that have a status; `""` stands for the whole server and always has one. */
  readonly services: readonly string[];
  /** Ends the watches, which would otherwise hold the shutdown up. */
  readonly shutdown?: AbortSignal | undefined;
}

/** `grpc.health.v1.Health`. All services share the status of the process. */
export function healthMethods({ source, services, shutdown }: HealthOptions): readonly RpcMethod[] {
  const known: ReadonlySet<string> = new Set(["", ...services]);
  const current = (): HealthCheckResponse => response(source.serving ? Status.SERVING : Status.NOT_SERVING);
  return [
    unary(Health.method.check, async ({ service }) => {
      if (!known.has(service)) throw new GatewayError("NOT_FOUND", "there is no such service");
      return current();
    }),
    unary(Health.method.list, async () => ({
      statuses: Object.fromEntries([...known].map((service) => [service, current()])),
    })),
    serverStreaming(Health.method.watch, async ({ service }, call, out) => {
      if (!known.has(service)) {
        // By its contract a watch stays open: the service might be added, though here it never is.
        out.push(response(Status.SERVICE_UNKNOWN), 0);
        return unlessAborted(NEVER, call.signal, shutdown);
      }
      let last = current();
      out.push(last, 0);
      const stop = source.onChange(() => {
        const now = current();
        if (now.status === last.status) return;
        last = now;
        // A reader that lags behind only needs the newest status.
        const { unread } = out;
        if (unread) unread.status = now.status;
        else out.push({ ...now }, 0);
      });
      try {
        await unlessAborted(NEVER, call.signal, shutdown);
      } finally {
        stop();
      }
    }),
  ];
}

function response(status: Status): HealthCheckResponse {
  return { $typeName: "grpc.health.v1.HealthCheckResponse", status };
}
