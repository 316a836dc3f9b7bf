import { createCipheriv, createDecipheriv, createHash, randomBytes } from 'node:crypto';

/**
 * Texts that stand where many may read, closed with a key that only our processes have. What people set up is kept in a
 * log and in tables that analysts read, and the secret of a webhook has to come back in plain form to sign with.
 */
const version = 'v1';
const algorithm = 'aes-256-gcm';
const ivBytes = 12;
const tagBytes = 16;

const toKey = (key: string): Buffer => createHash('sha256').update(`weir sealed text ${key}`).digest();

/** `context` is what the text belongs to: moved to somewhere else, it cannot be opened. */
export function sealText(key: string, context: string, text: string): string {
  const iv = randomBytes(ivBytes);
  const cipher = createCipheriv(algorithm, toKey(key), iv, { authTagLength: tagBytes }).setAAD(Buffer.from(context));
  const closed = Buffer.concat([cipher.update(text, 'utf8'), cipher.final()]);
  return `${version}.${Buffer.concat([iv, cipher.getAuthTag(), closed]).toString('base64url')}`;
}

/** Null where the text was closed with another key, belongs elsewhere, or was changed. */
export function openText(key: string, context: string, sealed: string): string | null {
  const [given, body = ''] = sealed.split('.');
  const bytes = Buffer.from(body, 'base64url');
  if (given !== version || bytes.length < ivBytes + tagBytes) return null;
  const iv = bytes.subarray(0, ivBytes);
  const decipher = createDecipheriv(algorithm, toKey(key), iv, { authTagLength: tagBytes })
    .setAAD(Buffer.from(context))
    .setAuthTag(bytes.subarray(ivBytes, ivBytes + tagBytes));
  try {
    return Buffer.concat([decipher.update(bytes.subarray(ivBytes + tagBytes)), decipher.final()]).toString('utf8');
  } catch {
    return null;
  }
}
