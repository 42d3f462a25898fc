import type { Ends } from './mirror.ts';

/** What a program starts, and ends itself: the last first. */
export interface ProgramEnds extends Ends {
  end(): Promise<void>;
}

/** Collects what is to be ended. */
export function newEnds(): ProgramEnds {
  const ends: (() => Promise<void>)[] = [];
  return {
    after: (end) => void ends.push(end),
    end: async () => {
      for (const end of ends.toReversed()) await end();
    },
  };
}
