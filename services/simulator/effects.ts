import type { AttemptMoment, PlayEffects } from './play.ts';

/** Everything that alters what attempts come to at this moment: the load first, then incidents as they began. */
export class ActiveEffects {
  readonly combined: PlayEffects;
  readonly #active = new Set<PlayEffects>();

  /** `crowding` is how many times longer an attempt takes because of its neighbours. */
  constructor(crowding: (moment: AttemptMoment) => number) {
    this.combined = {
      durationMs: (moment, drawnMs) => {
        let ms = drawnMs * crowding(moment);
        for (const effects of this.#active) ms = effects.durationMs?.(moment, ms) ?? ms;
        return ms;
      },
      failure: (moment) => {
        for (const effects of this.#active) {
          const planted = effects.failure?.(moment);
          if (planted !== undefined) return planted;
        }
        return undefined;
      },
      usage: (moment, usage) => {
        let used = usage;
        for (const effects of this.#active) used = effects.usage?.(moment, used) ?? used;
        return used;
      },
    };
  }

  /** Answers with what ends it. */
  add(effects: PlayEffects): () => void {
    this.#active.add(effects);
    return () => void this.#active.delete(effects);
  }
}
