/** Why an analysis was not made; whoever asked puts it into words of its own. */
const failureKinds = ['not_found', 'ambiguous_source', 'too_large', 'timeout', 'busy', 'closed'] as const;
export type FailureKind = (typeof failureKinds)[number];

export class AnalysisFailure extends Error {
  override name = 'AnalysisFailure';
  readonly kind: FailureKind;
  readonly details: Record<string, unknown> | undefined;

  constructor(kind: FailureKind, message: string, details?: Record<string, unknown>) {
    super(message);
    this.kind = kind;
    this.details = details;
  }
}
