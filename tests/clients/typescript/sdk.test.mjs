// npm's `@unkey/api`, unchanged but for the address: every method that is about what is served here.
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { Unkey } from "@unkey/api";
import * as errors from "@unkey/api/models/errors";

const { LATCHWORK_URL: serverURL, ROOT_KEY, POWERLESS_KEY, NO_QUOTA_KEY } = process.env;
const client = (rootKey) => new Unkey({ serverURL, rootKey, retryConfig: { strategy: "none" } });
const sdk = client(ROOT_KEY);
let turn = 0;
const unique = (name) => `${name}.${process.pid}.${++turn}`;
const HOUR_MS = 3_600_000;

async function post(procedure, body) {
  const answer = await fetch(`${serverURL}/v2/${procedure}`, {
    method: "POST",
    headers: { authorization: `Bearer ${ROOT_KEY}`, "content-type": "application/json" },
    body: JSON.stringify(body),
  });
  assert.equal(answer.status, 200);
  return (await answer.json()).data;
}

const newApi = async () => (await sdk.apis.createApi({ name: "payments" })).data.apiId;
const newKey = async (more = {}) =>
  (await sdk.keys.createKey({ apiId: await newApi(), prefix: "pay", ...more })).data;
const verify = async (key, more = {}) => (await sdk.keys.verifyKey({ key, ...more })).data;

async function pages(first) {
  const found = [];
  for await (const page of first) found.push(...page.result.data);
  return found;
}

test("every method of what is served is called here", () => {
  const source = readFileSync(new URL(import.meta.url), "utf8");
  const anotherProduct = ["getGatewayRequests", "getRuntimeLogs"];
  for (const family of ["analytics", "apis", "identities", "keys", "permissions", "portal", "ratelimit"]) {
    const methods = Object.getOwnPropertyNames(Object.getPrototypeOf(sdk[family]));
    for (const method of methods.filter((name) => name !== "constructor" && !anotherProduct.includes(name)))
      assert.ok(source.includes(`sdk.${family}.${method}(`), `${family}.${method}`);
  }
});

test("apis, and pages of keys", async () => {
  const apiId = await newApi();
  assert.equal((await sdk.apis.getApi({ apiId })).data.name, "payments");
  const ids = [];
  for (let i = 0; i < 3; i++) ids.push((await sdk.keys.createKey({ apiId, externalId: "user_1" })).data.keyId);
  const listed = await pages(await sdk.apis.listKeys({ apiId, limit: 2 }));
  assert.deepEqual(listed.map((key) => key.keyId).sort(), ids.sort());
  await sdk.apis.deleteApi({ apiId });
  await assert.rejects(sdk.apis.getApi({ apiId }), errors.NotFoundErrorResponse);
});

test("a key from its creation to its end", async () => {
  const made = await newKey({
    name: "a name",
    externalId: "user_2",
    meta: { plan: "pro" },
    permissions: ["documents.read"],
    expires: Date.now() + HOUR_MS,
    credits: { remaining: 10, refill: { interval: "monthly", amount: 10, refillDay: 15 } },
    ratelimits: [{ name: "requests", limit: 5, duration: 60_000, autoApply: true }],
  });
  const shown = (await sdk.keys.getKey({ keyId: made.keyId })).data;
  assert.deepEqual([shown.name, shown.meta, shown.credits.refill.refillDay], ["a name", { plan: "pro" }, 15]);
  assert.equal((await sdk.keys.whoami({ key: made.key })).data.keyId, made.keyId);
  const verdict = await verify(made.key, { tags: ["path=/v1"], permissions: "documents.read" });
  assert.deepEqual([verdict.valid, verdict.code, verdict.credits, verdict.ratelimits[0].remaining], [true, "VALID", 9, 4]);
  await sdk.keys.updateKey({ keyId: made.keyId, enabled: false, name: null });
  assert.equal((await verify(made.key)).code, "DISABLED");
  const left = await sdk.keys.updateCredits({ keyId: made.keyId, operation: "set", value: null });
  assert.equal(left.data.remaining, null);
  await sdk.keys.deleteKey({ keyId: made.keyId });
  assert.equal((await verify(made.key)).code, "NOT_FOUND");
});

test("a reroll", async () => {
  const made = await newKey();
  const rerolled = (await sdk.keys.rerollKey({ keyId: made.keyId, expiration: 0 })).data;
  assert.deepEqual([(await verify(rerolled.key)).code, (await verify(made.key)).code], ["VALID", "EXPIRED"]);
});

test("permissions and roles of a key", async () => {
  const { key, keyId } = await newKey();
  const [slug, role] = [unique("documents"), unique("editor")];
  assert.equal((await sdk.keys.addPermissions({ keyId, permissions: [slug] })).data[0].slug, slug);
  assert.equal((await sdk.keys.setPermissions({ keyId, permissions: [slug, `${slug}.b`] })).data.length, 2);
  assert.equal((await sdk.keys.removePermissions({ keyId, permissions: [slug] })).data.length, 1);
  await sdk.permissions.createRole({ name: role, permissions: [`${slug}.edit`] });
  assert.equal((await sdk.keys.addRoles({ keyId, roles: [role] })).data[0].name, role);
  assert.ok((await verify(key, { permissions: `${slug}.edit AND ${slug}.b` })).valid);
  assert.equal((await sdk.keys.setRoles({ keyId, roles: [role] })).data.length, 1);
  assert.equal((await sdk.keys.removeRoles({ keyId, roles: [role] })).data.length, 0);
  assert.equal((await verify(key, { permissions: `${slug}.edit` })).code, "INSUFFICIENT_PERMISSIONS");
});

test("permissions and roles", async () => {
  const [slug, role] = [unique("invoices"), unique("accountant")];
  await sdk.permissions.createPermission({ name: "Invoices", slug, description: "Read invoices" });
  assert.equal((await sdk.permissions.getPermission({ permission: slug })).data.name, "Invoices");
  assert.equal((await pages(await sdk.permissions.listPermissions({ search: slug }))).length, 1);
  const { roleId } = (await sdk.permissions.createRole({ name: role, permissions: [slug] })).data;
  assert.equal((await sdk.permissions.getRole({ role })).data.permissions[0].slug, slug);
  assert.equal((await pages(await sdk.permissions.listRoles({ search: role }))).length, 1);
  assert.deepEqual((await sdk.permissions.setRolePermissions({ roleId, permissions: [] })).data, []);
  await sdk.permissions.deleteRole({ role });
  await sdk.permissions.deletePermission({ permission: slug });
  await assert.rejects(sdk.permissions.getRole({ role }), errors.NotFoundErrorResponse);
});

test("identities", async () => {
  const externalId = unique("user");
  const limit = { name: "requests", limit: 1, duration: 60_000, autoApply: true };
  await sdk.identities.createIdentity({ externalId, meta: { plan: "pro" }, ratelimits: [limit] });
  const { key } = await newKey({ externalId });
  assert.deepEqual([(await verify(key)).code, (await verify(key)).code], ["VALID", "RATE_LIMITED"]);
  assert.equal((await sdk.identities.getIdentity({ identity: externalId })).data.meta.plan, "pro");
  await sdk.identities.updateIdentity({ identity: externalId, meta: {}, ratelimits: [] });
  assert.ok((await verify(key)).valid);
  assert.equal((await pages(await sdk.identities.listIdentities({ search: externalId }))).length, 1);
  await sdk.identities.deleteIdentity({ identity: externalId });
  await assert.rejects(sdk.identities.getIdentity({ identity: externalId }), errors.NotFoundErrorResponse);
});

test("rate limits and overrides", async () => {
  const namespace = unique("emails");
  const asked = { namespace, identifier: "user_1", limit: 1, duration: 60_000 };
  assert.ok((await sdk.ratelimit.limit(asked)).data.success);
  assert.ok(!(await sdk.ratelimit.limit(asked)).data.success);
  const many = (await sdk.ratelimit.multiLimit([asked, { ...asked, identifier: "user_2" }])).data;
  assert.deepEqual([many.passed, many.limits.map((each) => each.passed)], [false, [false, true]]);
  const { overrideId } = (await sdk.ratelimit.setOverride({ ...asked, identifier: "user_*", limit: 9 })).data;
  assert.equal((await sdk.ratelimit.getOverride({ namespace, identifier: "user_1" })).data.overrideId, overrideId);
  assert.equal((await pages(await sdk.ratelimit.listOverrides({ namespace }))).length, 1);
  await sdk.ratelimit.deleteOverride({ namespace, identifier: "user_*" });
  await assert.rejects(sdk.ratelimit.getOverride({ namespace, identifier: "user_1" }), errors.NotFoundErrorResponse);
});

test("keys that move in", async () => {
  const { migrationId } = await post("migrations.createMigration", { algorithm: "sha256" });
  const text = unique("old_key");
  const hash = createHash("sha256").update(text).digest("base64");
  const moved = (await sdk.keys.migrateKeys({ migrationId, apiId: await newApi(), keys: [{ hash }] })).data;
  assert.deepEqual(moved.failed, []);
  assert.equal((await verify(text)).keyId, moved.migrated[0].keyId);
});

test("analytics", async () => {
  const { key, keyId } = await newKey();
  await verify(key);
  await sdk.ratelimit.limit({ namespace: "counted", identifier: "b", limit: 1, duration: 1000 });
  const query = `SELECT outcome, count() AS n FROM key_verifications_v1 WHERE key_id = '${keyId}' GROUP BY outcome`;
  assert.deepEqual((await sdk.analytics.getVerifications({ query })).data, [{ outcome: "VALID", n: 1 }]);
  const limits = "SELECT count() AS n FROM ratelimits_v1 WHERE identifier = 'b'";
  assert.ok((await sdk.analytics.getRatelimits({ query: limits })).data[0].n >= 1);
});

test("a portal and its session, by the cookie", async () => {
  const externalId = unique("user");
  const { key, keyId } = await newKey({ externalId });
  const { keyspaceId } = await post("keys.verifyKey", { key });
  const slug = unique("portal").replaceAll(".", "-");
  await post("portal.createPortal", { slug, displayName: "Keys", keyspaceId });
  const scopes = ["keys:read", "keys:reroll", "analytics:read"];
  const session = (await sdk.portal.createSession({ portal: slug, externalId, scopes })).result.data;
  const code = new URL(session.url).searchParams.get("code");
  const exchanged = await sdk.portal.exchangeCode({ code });
  const portalSession = (exchanged.result ?? exchanged).data.accessToken;
  assert.deepEqual((await pages(await sdk.portal.listKeys({ portalSession }, {}))).map((each) => each.keyId), [keyId]);
  const range = { startTime: Date.now() - HOUR_MS, endTime: Date.now() + 1000 };
  await sdk.portal.getVerifications({ portalSession }, range);
  const rerolled = (await sdk.portal.rerollKey({ portalSession }, { keyId, expiration: 0 })).data;
  assert.ok((await verify(rerolled.key)).valid);
  await assert.rejects(sdk.portal.exchangeCode({ code }), errors.UnauthorizedErrorResponse);
});

test("errors are typed", async () => {
  const slug = unique("slug");
  await sdk.permissions.createPermission({ name: "n", slug });
  const apiId = await newApi();
  await post("apis.updateApi", { apiId, deleteProtection: true });
  const namespace = unique("gone");
  await sdk.ratelimit.limit({ namespace, identifier: "a", limit: 1, duration: 1000 });
  await post("ratelimit.deleteNamespace", { namespace });
  const cases = [
    [() => client("lw_root_unknown").apis.createApi({ name: "never" }), errors.UnauthorizedErrorResponse, 401],
    [() => client(POWERLESS_KEY).apis.createApi({ name: "never" }), errors.ForbiddenErrorResponse, 403],
    [() => sdk.keys.getKey({ keyId: "key_unknown" }), errors.NotFoundErrorResponse, 404],
    [() => sdk.identities.deleteIdentity({ identity: "id_unknown" }), errors.NotFoundErrorResponse, 404],
    [() => sdk.permissions.createPermission({ name: "n", slug }), errors.ConflictErrorResponse, 409],
    [() => sdk.ratelimit.limit({ namespace, identifier: "a", limit: 1, duration: 1000 }), errors.GoneErrorResponse, 410],
    [() => sdk.apis.deleteApi({ apiId }), errors.PreconditionFailedErrorResponse, 412],
    [() => sdk.analytics.getVerifications({ query: "DROP TABLE a" }), errors.BadRequestErrorResponse, 400],
    [() => client(NO_QUOTA_KEY).keys.verifyKey({ key: "a" }), errors.TooManyRequestsErrorResponse, 429],
    [() => client(NO_QUOTA_KEY).identities.deleteIdentity({ identity: "a" }), errors.TooManyRequestsErrorResponse, 429],
  ];
  for (const [call, kind, status] of cases)
    await assert.rejects(call(), (error) => {
      assert.ok(error instanceof kind, `${status}: ${error}`);
      return error.error.status === status;
    });
});
