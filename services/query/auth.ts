import type { IncomingHttpHeaders } from 'node:http';
import { isIP } from 'node:net';
import { createRemoteJWKSet, type JWTPayload, type JWTVerifyGetKey, errors as joseErrors, jwtVerify } from 'jose';
import { anyWorkspace, type KeyRing, looksLikeApiKey, type Role, roles } from './api-keys.ts';
import { ApiError } from './errors.ts';

/** Who calls, and what that caller may do. */
export interface Caller {
  /** For logs, rate limits and audit: `key 0f…`, `token sub`, `anonymous`. */
  name: string;
  role: Role;
  workspaces: readonly string[];
}

interface JwtOptions {
  jwksUrl: string;
  issuer: string;
  audience: string;
  workspacesClaim: string;
  roleClaim: string;
}

interface AuthOptions {
  keys: KeyRing;
  /** Null where no tokens are taken. */
  jwt: JwtOptions | null;
  nowMs: () => number;
}

/** Signatures that need the provider's private key; with a shared secret anybody who may check could also sign. */
const algorithms = ['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512', 'ES256', 'ES384', 'ES512', 'EdDSA'];

export class Authenticator {
  readonly #options: AuthOptions;
  readonly #jwks: JWTVerifyGetKey | null;

  constructor(options: AuthOptions) {
    this.#options = options;
    const { jwt } = options;
    this.#jwks = jwt === null ? null : createRemoteJWKSet(new URL(jwt.jwksUrl), { timeoutDuration: 5_000 });
  }

  /** With neither keys nor tokens, everybody on this machine is the administrator, and nobody elsewhere is anybody. */
  get isOpen(): boolean {
    return this.#options.jwt === null && this.#options.keys.isEmpty;
  }

  async identify(headers: IncomingHttpHeaders): Promise<Caller> {
    const credential = readCredential(headers);
    if (credential === null) {
      if (!this.isOpen) throw new ApiError('unauthenticated', 'This needs an API key or a token.');
      // A page that was lured to a name of this machine would send that name.
      if (!isLoopbackHost(headers.host))
        throw new ApiError('host_forbidden', 'The Host header names no loopback address.');
      return { name: 'anonymous', role: 'admin', workspaces: [anyWorkspace] };
    }
    if (looksLikeApiKey(credential)) return this.#identifyKey(credential);
    return this.#identifyToken(credential);
  }

  #identifyKey(text: string): Caller {
    const key = this.#options.keys.verify(text, this.#options.nowMs());
    if (key === null) throw new ApiError('unauthenticated', 'The API key is unknown, expired or revoked.');
    return { name: `key ${key.id}`, role: key.role, workspaces: key.workspaces };
  }

  async #identifyToken(token: string): Promise<Caller> {
    const { jwt } = this.#options;
    if (jwt === null || this.#jwks === null) {
      throw new ApiError('unauthenticated', 'The credential is no API key, and tokens are not taken here.');
    }
    const { issuer, audience } = jwt;
    const required = { issuer, audience, algorithms, requiredClaims: ['exp'], clockTolerance: 30 };
    try {
      const { payload } = await jwtVerify(token, this.#jwks, required);
      return readClaims(payload, jwt);
    } catch (error) {
      if (error instanceof ApiError) throw error;
      const isRefused = error instanceof joseErrors.JOSEError && !(error instanceof joseErrors.JWKSTimeout);
      if (isRefused && error.code !== 'ERR_JOSE_GENERIC') {
        throw new ApiError('unauthenticated', 'The token is malformed, expired, or signed by somebody else.');
      }
      throw new ApiError('identity_unavailable', 'The keys of the identity provider cannot be fetched.');
    }
  }
}

function readClaims(payload: JWTPayload, { workspacesClaim, roleClaim }: JwtOptions): Caller {
  const listed = payload[workspacesClaim];
  const workspaces = (Array.isArray(listed) ? listed : [listed]).filter((name) => typeof name === 'string');
  const given = payload[roleClaim];
  const role = given === undefined ? 'viewer' : roles.find((known) => known === given);
  if (role === undefined) throw new ApiError('forbidden', 'The token names a role that is none of this service.');
  return { name: `token ${payload.sub ?? ''}`, role, workspaces };
}

function readCredential(headers: IncomingHttpHeaders): string | null {
  const key = headers['x-api-key'];
  if (typeof key === 'string' && key !== '') return key;
  const { authorization } = headers;
  if (authorization === undefined) return null;
  const [, credential = ''] = /^bearer +(\S+)$/i.exec(authorization) ?? [];
  if (credential === '')
    throw new ApiError('unauthenticated', 'The Authorization header must be: Bearer, then the key.');
  return credential;
}

export function isLoopbackHost(host: string | undefined): boolean {
  const given = (host ?? '').toLowerCase();
  // A bare IPv6 address has colons of its own.
  const name = isIP(given) === 6 ? given : given.replace(/:\d+$/, '').replace(/^\[(.*)\]$/, '$1');
  return name === 'localhost' || name === '::1' || (isIP(name) === 4 && name.startsWith('127.'));
}

/** A slug is an id as it stands in addresses of web pages: lower case, dashes for everything else. */
const slugOf = (id: string): string =>
  id
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '-')
    .replace(/^-|-$/g, '');

/** The workspace that a request is about: the one named, the only one of the caller, or `default`. */
export function chooseWorkspace(caller: Caller, headers: IncomingHttpHeaders): string {
  const id = headers['x-workspace-id'];
  const slug = headers['x-workspace-slug'];
  const seesAll = caller.workspaces.includes(anyWorkspace);
  if (typeof id === 'string' && id !== '') return allow(caller, decodeHeader(id));
  if (typeof slug === 'string' && slug !== '') {
    const known = caller.workspaces.find((workspace) => slugOf(workspace) === slug);
    if (known === undefined && !seesAll) throw forbid();
    return known ?? slug;
  }
  const [only] = caller.workspaces;
  return allow(caller, !seesAll && caller.workspaces.length === 1 && only !== undefined ? only : 'default');
}

/** Headers carry ASCII; other letters of an id come percent-encoded. */
function decodeHeader(value: string): string {
  try {
    return decodeURIComponent(value);
  } catch {
    return value;
  }
}

/** The same answer whether a workspace exists or not. */
const forbid = () => new ApiError('workspace_forbidden', 'The key is for other workspaces.');

function allow(caller: Caller, workspace: string): string {
  if (
    workspace === anyWorkspace ||
    !(caller.workspaces.includes(anyWorkspace) || caller.workspaces.includes(workspace))
  ) {
    throw forbid();
  }
  return workspace;
}

export function requireRole(caller: Caller, role: Role): void {
  if (roles.indexOf(caller.role) < roles.indexOf(role)) {
    throw new ApiError('forbidden', `This needs the role ${role}, and the caller is ${caller.role}.`);
  }
}

/** Administrators of every workspace: they also see what belongs to none. */
export const runsEverything = ({ role, workspaces }: Caller): boolean =>
  role === 'admin' && workspaces.includes(anyWorkspace);
