import { lookup as resolve } from 'node:dns';
import { BlockList, isIP, isIPv6, type LookupFunction } from 'node:net';

/**
 * Where webhooks may go. A subscription is an address that somebody types in, and this process may reach what that person may
 * not: this machine, its neighbours, the metadata service of a cloud. So addresses of such places are refused unless
 * a setting allows them, and refused after the name was resolved, by the very lookup that the connection uses: a name that is
 * public when it is looked at and private a moment later leads nowhere.
 */
const inner: readonly [string, number][] = [
  ['0.0.0.0', 8],
  ['10.0.0.0', 8],
  ['100.64.0.0', 10],
  ['127.0.0.0', 8],
  ['169.254.0.0', 16],
  ['172.16.0.0', 12],
  ['192.0.0.0', 24],
  ['192.0.2.0', 24],
  ['192.168.0.0', 16],
  ['198.18.0.0', 15],
  ['198.51.100.0', 24],
  ['203.0.113.0', 24],
  ['224.0.0.0', 4],
  ['240.0.0.0', 4],
  ['::', 128],
  ['::1', 128],
  // Addresses of version 4 in other clothes are looked at below; these are the ways in which networks translate them.
  ['64:ff9b::', 96],
  ['64:ff9b:1::', 48],
  ['2002::', 16],
  ['2001::', 23],
  ['2001:db8::', 32],
  ['100::', 64],
  ['fc00::', 7],
  ['fe80::', 10],
  ['fec0::', 10],
  ['ff00::', 8],
];

const blocked = new BlockList();
for (const [network, prefix] of inner) blocked.addSubnet(network, prefix, isIPv6(network) ? 'ipv6' : 'ipv4');

/** Whether an address belongs to this machine, its network, or nobody. */
export function isInnerAddress(address: string): boolean {
  // Addresses of version 4 that are written as version 6 are checked as what they are.
  return blocked.check(address, isIP(address) === 6 ? 'ipv6' : 'ipv4');
}

/** What is wrong with the address of a webhook, '' where nothing is; its name is resolved only when it is used. */
export function checkTarget(text: string, mayBeInner: boolean): string {
  if (!URL.canParse(text)) return 'is no address such as https://host/path';
  const { protocol, username, password, hostname } = new URL(text);
  if (protocol !== 'https:' && protocol !== 'http:') return 'must begin with https:// or http://';
  if (username !== '' || password !== '')
    return 'holds a user or a password; put a token into the path, or check the signature';
  const host = hostname.replace(/^\[(.*)\]$/, '$1');
  if (mayBeInner) return '';
  const isInner = isIP(host) === 0 ? /(^|\.)localhost\.?$/i.test(host) : isInnerAddress(host);
  return isInner
    ? `leads to ${host}, a private or loopback address; WEIR_WEBHOOK_PRIVATE_TARGETS=true allows those`
    : '';
}

/** What people are shown of an address. */
export const shownTarget = (text: string): string => new URL(text).origin;

/** A lookup for connections that answers no address of the inside. */
export const publicLookup: LookupFunction = (hostname, options, callback) => {
  resolve(hostname, { ...options, all: true }, (error, found) => {
    if (error !== null) return callback(error, '', 0);
    const allowed = found.filter(({ address }) => !isInnerAddress(address));
    const [first] = allowed;
    if (first === undefined) {
      return callback(new Error(`${hostname} is a private or loopback address, and those are not allowed`), '', 0);
    }
    if (options.all === true) return (callback as (error: null, all: typeof allowed) => void)(null, allowed);
    callback(null, first.address, first.family);
  });
};
