import { readdirSync, readFileSync, writeFileSync } from 'node:fs';

/** The process and all its descendants, as far as they live. */
export function processTree(pid: number): number[] {
  const children = threadsOf(pid).flatMap((thread) => words(`/proc/${pid}/task/${thread}/children`).map(Number));
  return [pid, ...children.flatMap(processTree)];
}

/**
 * Seconds of processor time that a process, its threads and its descendants have used. Counts in nanoseconds, where
 * `/proc/PID/stat` counts in hundredths; threads that have ended are not counted.
 */
export function processorSeconds(pid: number): number {
  const nanoseconds = processTree(pid).flatMap((each) =>
    threadsOf(each).map((thread) => Number(words(`/proc/${each}/task/${thread}/schedstat`)[0] ?? 0)),
  );
  return nanoseconds.reduce((sum, each) => sum + each, 0) / 1e9;
}

/** Whether a thread of the process or of its descendants waits for a disk. */
export function waitsForDisk(pid: number): boolean {
  return processTree(pid).some((each) =>
    threadsOf(each).some((thread) => stateOf(`/proc/${each}/task/${thread}/stat`) === 'D'),
  );
}

/** Bytes of memory that a process and its descendants hold now, or held at their peak. */
export function residentBytes(pid: number, which: 'now' | 'peak'): number {
  const key = which === 'now' ? 'VmRSS' : 'VmHWM';
  const kilobytes = processTree(pid).map((each) =>
    Number(new RegExp(`^${key}:\\s*(\\d+) kB`, 'm').exec(read(`/proc/${each}/status`))?.[1] ?? 0),
  );
  return kilobytes.reduce((sum, each) => sum + each, 0) * 1024;
}

/** Lets the peak of a process and of its descendants begin anew, from what they hold now. */
export function resetPeak(pid: number): void {
  for (const each of processTree(pid)) writeFileSync(`/proc/${each}/clear_refs`, '5');
}

function threadsOf(pid: number): string[] {
  try {
    return readdirSync(`/proc/${pid}/task`);
  } catch {
    return [];
  }
}

/** The state follows the name of the program, which may hold anything, and stands in parentheses. */
function stateOf(path: string): string | undefined {
  return read(path).split(') ').at(-1)?.charAt(0);
}

function words(path: string): string[] {
  return read(path)
    .split(/\s+/)
    .filter((word) => word !== '');
}

/** Processes and threads may end at any moment: then there is nothing to read. */
function read(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}
