import assert from 'node:assert/strict';
import { connect } from 'node:net';
import { test } from 'node:test';
import { setTimeout } from 'node:timers/promises';
import { fetchRaw } from '../support/client.ts';
import { newEnds } from '../support/ends.ts';
import { openFiles } from '../support/open-files.ts';
import { pullAll, setScene } from '../support/scene.ts';

test('a mirror that closes at any moment while clients ask leaves no file open', async () => {
  for (let moment = 0; moment < 10; moment++) {
    const ends = newEnds();
    const scene = await setScene(ends);
    const before = openFiles();
    if (moment % 2 === 0) await pullAll(scene);
    else await fetchRaw(scene.manifestUrl);
    const { pathname } = new URL(scene.layerUrl);
    for (let client = 0; client < 60; client++) {
      const socket = connect(scene.mirror.port, '127.0.0.1').on('error', () => {});
      socket.write(`GET ${pathname} HTTP/1.1\r\nHost: x\r\nRange: bytes=5-1000000\r\n\r\n`);
      void setTimeout(3 * moment).then(() => socket.destroy());
    }
    await setTimeout(2 * moment);
    await ends.end();
    assert.ok(openFiles() <= before, `${openFiles()} files are open, and ${before} were`);
  }
});
