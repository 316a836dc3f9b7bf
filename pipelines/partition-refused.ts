/** Why a partition must not be read on: somebody has to decide something first. */
export class PartitionRefused extends Error {
  readonly reason: 'topic_made_again' | 'newer_fold_version' | 'chunk_size_changed';
  constructor(reason: PartitionRefused['reason'], message: string) {
    super(message);
    this.name = 'PartitionRefused';
    this.reason = reason;
  }
}
