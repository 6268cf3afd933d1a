import { Migration0001Ledger } from "./0001-ledger.ts";
import { Migration0002ApiKeys } from "./0002-api-keys.ts";
import { Migration0003MonthlyPartitions } from "./0003-monthly-partitions.ts";
import { Migration0004Adjustments } from "./0004-adjustments.ts";
import { Migration0005RepeatedRequests } from "./0005-repeated-requests.ts";

/**
 * Every change of the schema, in order, for both databases. A migration that was released is never edited,
 * renamed or removed: its class name is what a database remembers.
 */
export const migrations = [
  Migration0001Ledger,
  Migration0002ApiKeys,
  Migration0003MonthlyPartitions,
  Migration0004Adjustments,
  Migration0005RepeatedRequests,
] as const;
