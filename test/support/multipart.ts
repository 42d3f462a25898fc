import assert from 'node:assert/strict';
import type { ClientAnswer } from './client.ts';

/** One part of a multipart body. */
export interface BodyPart {
  readonly start: number;
  /** The offset behind its last byte. */
  readonly end: number;
  readonly total: number;
  readonly bytes: Buffer;
}

/** Reads a `multipart/byteranges` body as clients do: strictly. @throws where it is not well-formed */
export function readParts(body: Buffer, contentType: string): BodyPart[] {
  const boundary = /^multipart\/byteranges; boundary=([A-Za-z0-9]{20,40})$/.exec(contentType)?.[1];
  assert.ok(boundary, contentType);
  const parts: BodyPart[] = [];
  let at = 0;
  const expect = (text: string) => {
    assert.equal(body.toString('latin1', at, at + text.length), text);
    at += text.length;
  };
  for (;;) {
    expect(`--${boundary}`);
    if (body.toString('latin1', at, at + 2) === '--') break;
    const head = body.toString('latin1', at, body.indexOf('\r\n\r\n', at) + 4);
    const match =
      /^\r\nContent-Type: application\/octet-stream\r\nContent-Range: bytes (\d+)-(\d+)\/(\d+)\r\n\r\n$/.exec(head);
    assert.ok(match, head);
    const [start = 0, last = 0, total = 0] = match.slice(1).map(Number);
    at += head.length;
    parts.push({ start, end: last + 1, total, bytes: body.subarray(at, at + last + 1 - start) });
    at += last + 1 - start;
    expect('\r\n');
  }
  expect('--\r\n');
  assert.equal(at, body.length);
  return parts;
}

/** Asserts that this is the answer to a request for these ranges (half-open), one part for each, in order. */
export function assertParts(answer: ClientAnswer, blob: Buffer, ranges: readonly (readonly [number, number])[]): void {
  assert.equal(answer.status, 206);
  assert.equal(answer.complete, true);
  assert.equal(answer.headers['content-range'], undefined);
  assert.equal(answer.headers['content-length'], String(answer.body.length));
  const parts = readParts(answer.body, String(answer.headers['content-type']));
  assert.deepEqual(
    parts.map(({ start, end }) => [start, end]),
    ranges,
  );
  for (const { start, end, total, bytes } of parts) {
    assert.equal(total, blob.length);
    assert.ok(bytes.equals(blob.subarray(start, end)), `${start}-${end}`);
  }
}

/** A `Range` header for these ranges (half-open). */
export function rangesOf(ranges: readonly (readonly [number, number])[]): { range: string } {
  return { range: `bytes=${ranges.map(([start, end]) => `${start}-${end - 1}`).join(',')}` };
}
