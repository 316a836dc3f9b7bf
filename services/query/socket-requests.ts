import type { IncomingHttpHeaders } from 'node:http';
import { bearerProtocolPrefix, liveProtocol } from '../../schemas/live.ts';
import { ApiError } from './errors.ts';

/**
 * Browsers open sockets with an address and a list of protocols, and can set no header. So the key may come as a protocol,
 * `bearer.KEY`, which stands in no address and in no log; and the workspace in the address, where it is no secret.
 */
export function readSocketHeaders(headers: IncomingHttpHeaders, query: unknown): IncomingHttpHeaders {
  const read = { ...headers };
  const key = listProtocols(headers).find((name) => name.startsWith(bearerProtocolPrefix));
  if (key !== undefined && headers.authorization === undefined) {
    read.authorization = `Bearer ${key.slice(bearerProtocolPrefix.length)}`;
  }
  const { workspace_id: id, workspace_slug: slug } = query as Record<string, unknown>;
  if (typeof id === 'string' && id !== '') read['x-workspace-id'] ??= encodeURIComponent(id);
  if (typeof slug === 'string' && slug !== '') read['x-workspace-slug'] ??= slug;
  return read;
}

const listProtocols = (headers: IncomingHttpHeaders): string[] =>
  (headers['sec-websocket-protocol'] ?? '').split(',').map((name) => name.trim());

/** The one protocol that is spoken; the key that may stand beside it is not sent back. */
export const chooseProtocol = (offered: ReadonlySet<string>): string | false =>
  offered.has(liveProtocol) ? liveProtocol : false;

/**
 * Browsers let any page open a socket to anywhere and say which page it is: CORS does not hold here. Without an origin
 * it is no browser that asks.
 */
export function requireOrigin({ origin, host }: IncomingHttpHeaders, allowed: readonly string[]): void {
  if (origin === undefined || allowed.includes(origin)) return;
  const own = URL.canParse(origin) ? new URL(origin).host : '';
  if (own === '' || own !== host)
    throw new ApiError('origin_forbidden', 'The page is none that may open sockets here.');
}
