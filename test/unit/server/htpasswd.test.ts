import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ConfigError } from '../../../src/config/load.ts';
import { parseHtpasswd } from '../../../src/server/htpasswd.ts';

const hash = '$2y$05$nV1A2JXGOtHhJ/DFQXo9u.1gF4P3f/8t5bHZyH8XmKjnvTJZ0b5nO';

test('an htpasswd file is read line by line', () => {
  const text = `# nodes\r\nnode:${hash}\r\n\nzoë x:${hash.replace('2y', '2b').replace('05', '12')}\n`;
  assert.deepEqual([...parseHtpasswd(text, 'f').keys()], ['node', 'zoë x']);
  assert.equal(parseHtpasswd(text, 'f').get('node'), hash);
  assert.equal(parseHtpasswd('', 'f').size, 0);
});

test('every line that is no bcrypt entry is named, and not shown', () => {
  const lines = [
    'a:$apr1$salt$secret',
    'plain:secret',
    `:${hash}`,
    `${hash}`,
    `good:${hash}`,
    `b:${hash}x`,
    `c: ${hash}`,
  ];
  assert.throws(
    () => parseHtpasswd(lines.join('\n'), 'f'),
    (error) => {
      assert.ok(error instanceof ConfigError);
      assert.deepEqual(
        error.issues.map(({ place }) => place),
        ['f:1', 'f:2', 'f:3', 'f:4', 'f:6', 'f:7'],
      );
      assert.doesNotMatch(error.message, /secret|\$2y/);
      return true;
    },
  );
});
