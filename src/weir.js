#!/usr/bin/env -S node --max-semi-space-size=4
// By itself, V8's young generation grows with the memory of the machine, to 190 MiB and more; with this it stays below 12.
// Plain JavaScript without imports: on a Node.js that is too old, better-sqlite3 would crash the process and undici
// would throw at import, so the version is checked before anything is loaded.
const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
if (major < 22 || (major === 22 && minor < 19)) {
  process.stderr.write(
    `weir needs Node.js 22.19 or newer, this is ${process.versions.node}: run it by npm (npm start), which brings its own\n`,
  );
  process.exit(2);
}
// What was compiled for one start is read at the next, also by threads: where it lies nobody else can write.
const { enableCompileCache } = await import('node:module');
process.env['NODE_COMPILE_CACHE'] ??= `${import.meta.dirname}/../node_modules/.cache/weir`;
enableCompileCache(process.env['NODE_COMPILE_CACHE']);
// Reading and writing files takes turns on these threads; the default of 4 lets a slow disk hold up name lookups.
process.env['UV_THREADPOOL_SIZE'] ??= '16';
const { main } = await import('./cli/main.ts');
await main(process.argv.slice(2));
