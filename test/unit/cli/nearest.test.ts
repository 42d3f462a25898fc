import assert from 'node:assert/strict';
import { test } from 'node:test';
import { nearest } from '../../../src/cli/nearest.ts';
import { Progress } from '../../../src/cli/progress.ts';
import { FakeClock } from '../../support/clock.ts';

test('a command that was mistyped is recognised, and what is like none is not', () => {
  const known = ['serve', 'check', 'healthcheck', 'warm', 'ls', 'rm', 'unpin', 'pin'];
  const cases = { sreve: 'serve', chek: 'check', wram: 'warm', helthcheck: 'healthcheck', unpn: 'unpin', l: 'ls' };
  for (const [typed, meant] of Object.entries(cases)) assert.equal(nearest(typed, known), meant);
  for (const typed of ['', 'bananas', 'xyz']) assert.equal(nearest(typed, known), undefined, typed);
});

test('a bar says how much is there, how fast it comes, and how long it will take; what is done goes', () => {
  const clock = new FakeClock();
  let screen = '';
  const write = (text: string | Uint8Array) => {
    screen += String(text);
    return true;
  };
  const progress = new Progress({ write, columns: 100, rows: 10 }, clock);
  progress.update('sha256:1', 100 * 2 ** 20, 0);
  clock.advance(2000);
  progress.update('sha256:1', 100 * 2 ** 20, 50 * 2 ** 20);
  assert.match(screen, /sha256:1 {2}\[#{12}\.{12}\] {2}50% {2}100 MiB {2}25 MiB\/s {2}2 s left\n$/);
  screen = '';
  progress.update('sha256:1', 100 * 2 ** 20, 100 * 2 ** 20);
  progress.say('complete');
  assert.equal(screen, '\u001b[1A\u001b[Jcomplete\n');
});
