import type { LogRecord } from './decode.ts';
import type { FoldableEvent, FoldableKind } from './facts.ts';
import type { Thing } from './fold.ts';
import type { Rejection } from './rejections.ts';

/** What becomes of each record, on its way to its table. */
export interface RowSink {
  stored(row: StoredRecord): void;
  duplicate(place: RecordPlace, workspace: string): void;
  rejected(place: RecordPlace, record: LogRecord, rejection: Rejection): void;
}

export interface RecordPlace {
  stream: string;
  kind: FoldableKind;
  partition: number;
  offset: number;
  recordTimeMs: number;
  foldVersion: number;
}

export interface StoredRecord extends RecordPlace {
  event: FoldableEvent;
  thingHash: Thing;
}
