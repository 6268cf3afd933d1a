import { describe, expect, it, vi } from "vitest";
import { KeyRole } from "../../gen/es/llmgateway/v1/access_pb.ts";
import { KeyService } from "../../gen/es/llmgateway/v1/key_pb.ts";
import { failureOf } from "../support/clients/gateway-client.ts";
import { FALLBACK_MODEL, MODEL } from "../support/gateway-under-test.ts";
import { type ClientSuite, uniquePrompt } from "./client-suite.ts";

const { createKey, getKey, listKeys, rotateKey, revokeKey, updateKey } = KeyService.method;

/** The life of a key. */
export function describeKeys(suite: ClientSuite): void {
  const admin = () => ({ key: suite.gateway.adminKey });
  const reasonOf = async (call: Promise<unknown>) => (await failureOf(call)).reason;
  const use = (key: string, model: string = MODEL) => suite.complete(uniquePrompt(), { model }, { key });

  describe("keys", () => {
    it("are made, shown without their secret, listed in pages, and used", async () => {
      const wanted = {
        displayName: "search service",
        roles: [KeyRole.INVOKE, KeyRole.READ_COSTS],
        allowedModels: [MODEL],
        limits: { requestsPerMinute: 100, tokensPerMinute: 1_000_000n, maxConcurrent: 10 },
        tags: { team: "search" },
      };
      const made = await suite.client.unary(createKey, { key: wanted }, admin());
      const apiKeyId = made.message.key?.apiKeyId ?? "";
      expect(made.message.secret).toMatch(/^gw_live_[0-9A-Za-z]{12}_\S{32,}$/);
      expect(made.message.key).toMatchObject(wanted);
      const shown = await suite.client.unary(getKey, { apiKeyId }, admin());
      expect(shown.message.key).toEqual(made.message.key);
      const first = await suite.client.unary(listKeys, { pageSize: 1 }, admin());
      expect(first.message.keys).toHaveLength(1);
      expect(first.message.nextPageToken).not.toBe("");
      const all = await suite.client.unary(listKeys, { pageSize: 1000 }, admin());
      expect(all.message.keys.some((key) => key.apiKeyId === apiKeyId)).toBe(true);
      expect((await use(made.message.secret)).message.provider).toBe("openai");
    });

    it("change their allow-list and limits while they are in use", async () => {
      const { secret, apiKeyId } = await suite.gateway.createKey({ allowedModels: [MODEL] });
      await use(secret);
      expect(await reasonOf(use(secret, FALLBACK_MODEL))).toBe("MODEL_NOT_ALLOWED");
      const key = { apiKeyId, allowedModels: [FALLBACK_MODEL], limits: { requestsPerMinute: 1 } };
      const paths = ["allowed_models", "limits"];
      const changed = await suite.client.unary(updateKey, { key, updateMask: { paths } }, admin());
      expect(changed.message.key).toMatchObject({ ...key, roles: [KeyRole.INVOKE] });
      expect(await reasonOf(use(secret))).toBe("MODEL_NOT_ALLOWED");
      await use(secret, FALLBACK_MODEL);
      expect(await reasonOf(use(secret, FALLBACK_MODEL))).toBe("RATE_LIMITED");
      const bad = suite.client.unary(updateKey, { key, updateMask: { paths: ["create_time"] } }, admin());
      expect(await reasonOf(bad)).toBe("INVALID_REQUEST");
    });

    it("rotate with an overlap in which both secrets work, or without one", async () => {
      const { secret, apiKeyId } = await suite.gateway.createKey();
      const rotated = await suite.client.unary(rotateKey, { apiKeyId, overlap: { seconds: 600n } }, admin());
      expect(rotated.message.secret).not.toBe(secret);
      await use(secret);
      await use(rotated.message.secret);
      const again = await suite.client.unary(rotateKey, { apiKeyId, overlap: { seconds: 0n } }, admin());
      expect(await reasonOf(use(rotated.message.secret))).toBe("UNAUTHENTICATED");
      expect(await reasonOf(use(secret))).toBe("UNAUTHENTICATED");
      await use(again.message.secret);
    });

    it("stop working within five seconds of their revocation, for good", async () => {
      const { secret, apiKeyId } = await suite.gateway.createKey();
      await use(secret);
      const revoked = await suite.client.unary(revokeKey, { apiKeyId }, admin());
      expect(revoked.message.key?.revokeTime).toBeDefined();
      await vi.waitFor(async () => expect(await reasonOf(use(secret))).toBe("UNAUTHENTICATED"), {
        timeout: 5_000,
      });
      expect(await reasonOf(suite.client.unary(rotateKey, { apiKeyId }, admin()))).toBe("INVALID_REQUEST");
      const listed = await suite.client.unary(listKeys, { pageSize: 1000 }, admin());
      expect(listed.message.keys.some((key) => key.apiKeyId === apiKeyId)).toBe(false);
    });

    it("are managed by those who hold the role, and grant only roles that the manager holds", async () => {
      const manager = await suite.gateway.createKey({ roles: [KeyRole.MANAGE_KEYS, KeyRole.INVOKE] });
      const asManager = { key: manager.secret };
      const make = (role: KeyRole) =>
        suite.client.unary(createKey, { key: { displayName: "made", roles: [role] } }, asManager);
      expect((await make(KeyRole.INVOKE)).message.secret).not.toBe("");
      expect(await reasonOf(make(KeyRole.ADMIN))).toBe("PERMISSION_DENIED");
      expect(await reasonOf(suite.client.unary(listKeys, {}, { key: suite.key }))).toBe("PERMISSION_DENIED");
      const unknown = suite.client.unary(getKey, { apiKeyId: "k_000000000000" }, admin());
      expect(await failureOf(unknown)).toMatchObject({ code: "not_found", reason: "NOT_FOUND" });
    });
  });
}
