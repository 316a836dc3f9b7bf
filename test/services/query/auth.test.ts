import { createServer, type Server } from 'node:http';
import { exportJWK, generateKeyPair, SignJWT } from 'jose';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { KeyRing, makeApiKey, toStateRecord } from '../../../services/query/api-keys.ts';
import { Authenticator, chooseWorkspace, isLoopbackHost } from '../../../services/query/auth.ts';

const nowMs = Date.now();
const issuer = 'https://login.example.com';
const audience = 'weir';
const pair = await generateKeyPair('ES256');
const stranger = await generateKeyPair('ES256');
let server: Server;
let jwksUrl: string;

beforeAll(async () => {
  const jwk = { ...(await exportJWK(pair.publicKey)), kid: 'one', alg: 'ES256', use: 'sig' };
  server = createServer((_, response) => response.end(JSON.stringify({ keys: [jwk] })));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  jwksUrl = `http://127.0.0.1:${typeof address === 'object' && address ? address.port : 0}/jwks`;
});
afterAll(() => server.close());

const makeAuth = (url = jwksUrl) => {
  const jwt = { jwksUrl: url, issuer, audience, workspacesClaim: 'workspaces', roleClaim: 'role' };
  return new Authenticator({ keys: new KeyRing(), jwt, nowMs: () => nowMs });
};

const sign = (claims: object, { by = pair.privateKey, to = audience, from = issuer, expiry = '5m' } = {}) =>
  new SignJWT({ ...claims })
    .setProtectedHeader({ alg: 'ES256', kid: 'one' })
    .setSubject('somebody')
    .setIssuer(from)
    .setAudience(to)
    .setExpirationTime(expiry)
    .sign(by);

const identify = (token: string, auth = makeAuth()) => auth.identify({ authorization: `Bearer ${token}` });

describe('tokens', () => {
  it('say who calls, for which workspaces and in which role', async () => {
    const token = await sign({ workspaces: ['a', 'b'], role: 'operator' });
    expect(await identify(token)).toEqual({ name: 'token somebody', role: 'operator', workspaces: ['a', 'b'] });
    expect(await identify(await sign({ workspaces: 'a' }))).toMatchObject({ role: 'viewer', workspaces: ['a'] });
  });

  it('are refused when somebody else signed them, for somebody else, too late or with a made-up role', async () => {
    const claims = { workspaces: ['a'] };
    const refused = [
      await sign(claims, { by: stranger.privateKey }),
      await sign(claims, { to: 'another' }),
      await sign(claims, { from: 'https://elsewhere.example.com' }),
      await sign(claims, { expiry: '-5m' }),
      `${Buffer.from('{"alg":"none"}').toString('base64url')}.e30.`,
    ];
    for (const token of refused) await expect(identify(token)).rejects.toMatchObject({ code: 'unauthenticated' });
    const token = await sign({ ...claims, role: 'emperor' });
    await expect(identify(token)).rejects.toMatchObject({ code: 'forbidden' });
  });

  it('cannot be judged while the provider is away, and that is no fault of the caller', async () => {
    const auth = makeAuth('http://127.0.0.1:1/jwks');
    await expect(identify(await sign({}), auth)).rejects.toMatchObject({ code: 'identity_unavailable' });
  });

  it('shut out everybody who has none', async () => {
    await expect(makeAuth().identify({ host: 'localhost' })).rejects.toMatchObject({ code: 'unauthenticated' });
  });
});

describe('keys', () => {
  const wish = { name: 'n', role: 'viewer', workspaces: ['a'], createdAtMs: nowMs, expiresAtMs: null } as const;

  it('are known by a hash only', () => {
    const { key, text } = makeApiKey(wish);
    const record = toStateRecord(key, 'me', nowMs, 'made');
    expect(JSON.stringify(record)).not.toContain(text.split('_')[2]);
    const ring = new KeyRing();
    ring.take(record);
    expect(ring.verify(text, nowMs)).toMatchObject({ id: key.id, role: 'viewer' });
  });

  it('are shut by a revocation, by a deletion, by a record that cannot be read, and at their expiry', () => {
    const { key, text } = makeApiKey({ ...wish, expiresAtMs: nowMs + 10 });
    const made = toStateRecord(key, 'me', nowMs, 'made');
    const ring = new KeyRing();
    ring.take(made);
    expect(ring.verify(text, nowMs + 9)).not.toBeNull();
    expect(ring.verify(text, nowMs + 10)).toBeNull();
    const ends = [
      toStateRecord({ ...key, revokedAtMs: nowMs }, 'me', nowMs, 'revoked'),
      { ...made, value: null, deleted: true },
      { ...made, value: '{' },
      { ...made, value: JSON.stringify({ ...key, role: 'emperor' }) },
    ];
    for (const end of ends) {
      ring.take(made);
      expect(ring.verify(text, nowMs)).not.toBeNull();
      ring.take(end);
      expect(ring.verify(text, nowMs)).toBeNull();
    }
  });

  it('never open the door again once there was one', () => {
    const keys = new KeyRing();
    const auth = new Authenticator({ keys, jwt: null, nowMs: () => nowMs });
    expect(auth.isOpen).toBe(true);
    const { key } = makeApiKey(wish);
    keys.take(toStateRecord(key, 'me', nowMs, 'made'));
    keys.take({ ...toStateRecord(key, 'me', nowMs, 'gone'), value: null, deleted: true });
    expect(auth.isOpen).toBe(false);
  });
});

describe('workspaces', () => {
  const caller = (...workspaces: string[]) => ({ name: 'x', role: 'viewer' as const, workspaces });

  it('are the one named, the only one, or default', () => {
    expect(chooseWorkspace(caller('a', 'b'), { 'x-workspace-id': 'b' })).toBe('b');
    expect(chooseWorkspace(caller('a'), {})).toBe('a');
    expect(chooseWorkspace(caller('*'), {})).toBe('default');
    expect(chooseWorkspace(caller('Big Co'), { 'x-workspace-slug': 'big-co' })).toBe('Big Co');
    expect(chooseWorkspace(caller('*'), { 'x-workspace-id': 'Z%C3%BCrich' })).toBe('Zürich');
  });

  it('of others are refused, also by a star or a slug', () => {
    const refused = { code: 'workspace_forbidden' };
    expect(() => chooseWorkspace(caller('a'), { 'x-workspace-id': 'b' })).toThrow(expect.objectContaining(refused));
    expect(() => chooseWorkspace(caller('*'), { 'x-workspace-id': '*' })).toThrow(expect.objectContaining(refused));
    expect(() => chooseWorkspace(caller('a'), { 'x-workspace-slug': 'b' })).toThrow(expect.objectContaining(refused));
    expect(() => chooseWorkspace(caller('a', 'b'), {})).toThrow(expect.objectContaining(refused));
    expect(() => chooseWorkspace(caller(), {})).toThrow(expect.objectContaining(refused));
  });

  it('of this machine are told by the name that was called', () => {
    const hosts = ['localhost', 'localhost:80', '127.0.0.1:1', '127.9.9.9', '[::1]:8', '::1'];
    expect(hosts.filter(isLoopbackHost)).toEqual(hosts);
    expect(['evil.example', '127.0.0.1.evil.example', '0.0.0.0', undefined, '10.0.0.1'].some(isLoopbackHost)).toBe(
      false,
    );
  });
});
