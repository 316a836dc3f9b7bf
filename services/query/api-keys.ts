import { createHash, randomBytes, timingSafeEqual } from 'node:crypto';
import type { StateRecord } from '../../schemas/records.ts';

export const roles = ['viewer', 'operator', 'admin'] as const;
export type Role = (typeof roles)[number];

/** Stands for every workspace. */
export const anyWorkspace = '*';

/** What is kept of a key. Its secret is random and long, so a plain hash of it tells nobody anything. */
export interface ApiKey {
  id: string;
  name: string;
  role: Role;
  workspaces: readonly string[];
  secretHash: string;
  createdAtMs: number;
  expiresAtMs: number | null;
  revokedAtMs: number | null;
}

export const keysCollection = 'api-keys';
/** Keys belong to the installation, and stand beside the entries of workspaces under a name of their own. */
export const keysWorkspace = 'weir';
const keyShape = /^weir_([0-9a-f]{16})_([\w-]{43})$/;

const hashSecret = (secret: string): string => createHash('sha256').update(secret).digest('hex');

interface NewKey {
  name: string;
  role: Role;
  workspaces: readonly string[];
  createdAtMs: number;
  expiresAtMs: number | null;
}

/** Makes a key; the text of it is shown once and kept nowhere. */
export function makeApiKey(wanted: NewKey): { key: ApiKey; text: string } {
  const id = randomBytes(8).toString('hex');
  const secret = randomBytes(32).toString('base64url');
  const key = { ...wanted, id, secretHash: hashSecret(secret), revokedAtMs: null };
  return { key, text: `weir_${id}_${secret}` };
}

/** The record that makes, or after a change replaces, a key. */
export function toStateRecord(key: ApiKey, changedBy: string, nowMs: number, reason: string): StateRecord {
  const { id, ...value } = key;
  return {
    workspace: keysWorkspace,
    collection: keysCollection,
    key: id,
    value: JSON.stringify(value),
    changed_by: changedBy,
    reason,
    changed_at: nowMs,
  };
}

/** All keys that were ever made, by the records that made and revoked them. */
export class KeyRing {
  readonly #keys = new Map<string, ApiKey>();

  /** Once there was a key there is no way back to answering everybody: revoking the last one shuts the door. */
  get isEmpty(): boolean {
    return this.#keys.size === 0;
  }

  list(): ApiKey[] {
    return [...this.#keys.values()];
  }

  get(id: string): ApiKey | undefined {
    return this.#keys.get(id);
  }

  take({ collection: of, key, value, deleted, changed_at: changedAtMs }: StateRecord): void {
    if (of !== keysCollection) return;
    const before = this.#keys.get(key);
    if (deleted === true || value == null) {
      if (before !== undefined) this.#keys.set(key, { ...before, revokedAtMs: before.revokedAtMs ?? changedAtMs });
      return;
    }
    const read = readKey(key, value);
    // A record that cannot be believed opens nothing, and shuts what it replaces.
    if (read !== null) this.#keys.set(key, read);
    else if (before !== undefined) this.#keys.set(key, { ...before, revokedAtMs: changedAtMs });
  }

  /** The key that this text is, if it is one, is not revoked and has not expired. */
  verify(text: string, nowMs: number): ApiKey | null {
    const [, id = '', secret = ''] = keyShape.exec(text) ?? [];
    const key = this.#keys.get(id);
    if (key === undefined) return null;
    const isRight = timingSafeEqual(Buffer.from(hashSecret(secret), 'hex'), Buffer.from(key.secretHash, 'hex'));
    const isValid = key.revokedAtMs === null && (key.expiresAtMs === null || nowMs < key.expiresAtMs);
    return isRight && isValid ? key : null;
  }
}

export const looksLikeApiKey = (text: string): boolean => text.startsWith('weir_');

function readKey(id: string, text: string): ApiKey | null {
  try {
    const value = JSON.parse(text) as Partial<ApiKey>;
    const { name, role, workspaces, secretHash, createdAtMs } = value;
    const isSound =
      /^[0-9a-f]{16}$/.test(id) &&
      typeof name === 'string' &&
      roles.some((known) => known === role) &&
      Array.isArray(workspaces) &&
      workspaces.every((workspace) => typeof workspace === 'string') &&
      typeof secretHash === 'string' &&
      /^[0-9a-f]{64}$/.test(secretHash) &&
      typeof createdAtMs === 'number';
    if (!isSound) return null;
    const { expiresAtMs = null, revokedAtMs = null } = value;
    return { id, name, role: role as Role, workspaces, secretHash, createdAtMs, expiresAtMs, revokedAtMs };
  } catch {
    return null;
  }
}
