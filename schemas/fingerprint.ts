import type { Type } from 'avsc';

/**
 * CRC-64-AVRO, the Rabin fingerprint that single-object encoding names schemas by. The library offers only
 * the hashes of OpenSSL (MD5 and such), so it is computed here as the Avro specification writes it down:
 * over the parsing canonical form, which leaves out documentation, defaults, aliases and logical types.
 * Known values of the specification are in the test.
 */

const emptyFingerprint = 0xc15d213aa4d7a795n;

const table = Array.from({ length: 256 }, (_, index) => {
  let fingerprint = BigInt(index);
  for (let bit = 0; bit < 8; bit++) fingerprint = (fingerprint >> 1n) ^ (emptyFingerprint & -(fingerprint & 1n));
  return fingerprint;
});

export function computeRabinFingerprint(text: string): bigint {
  let fingerprint = emptyFingerprint;
  for (const byte of Buffer.from(text, 'utf8')) {
    fingerprint = (fingerprint >> 8n) ^ table[Number((fingerprint ^ BigInt(byte)) & 0xffn)];
  }
  return fingerprint;
}

/** The parsing canonical form, which avsc gives as a type's schema without attributes. */
export function canonicalForm(type: Type): string {
  return JSON.stringify(type.schema());
}

/** The eight bytes that stand after C3 01: the fingerprint, least significant byte first. */
export function fingerprintBytes(type: Type): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(computeRabinFingerprint(canonicalForm(type)));
  return bytes;
}
