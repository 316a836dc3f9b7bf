/**
 * Two mistakes in how the client takes a connection up again:
 *
 * - What came of an answer before the line broke is put before the first answer of the next line, and from there on all is
 *   misread: requests run into their time limit, one after the other, until the process ends.
 * - Two requests that find the line closed open one each, and the end of either is taken for the end of both.
 */
export interface ClientConnection {
  chunks: Buffer[];
  bytesBuffered: number;
  bytesNeeded: number;
  isConnected(): boolean;
  connect(): Promise<unknown>;
}

const bytesOfLength = 4;

export function mendConnection({ prototype }: { prototype: ClientConnection }): void {
  const { connect } = prototype;
  const opening = new WeakMap<ClientConnection, Promise<unknown>>();
  prototype.connect = function (): Promise<unknown> {
    if (this.isConnected()) return Promise.resolve(true);
    const begun = opening.get(this);
    if (begun !== undefined) return begun;
    this.chunks = [];
    this.bytesBuffered = 0;
    this.bytesNeeded = bytesOfLength;
    const opened = connect.call(this).finally(() => opening.delete(this));
    opening.set(this, opened);
    return opened;
  };
}
