import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { configSchema } from '../src/config/schema.ts';

/** Where `npm run schema` writes. */
export const schemaFile = join(import.meta.dirname, 'weir.schema.json');

/** What a configuration file may hold, as JSON Schema, for editors: made of the schema that the program reads it with. */
export function jsonSchema(): string {
  const { $schema, ...rest } = z.toJSONSchema(configSchema, { io: 'input' });
  return `${JSON.stringify({ $schema, title: 'Configuration of Weir', ...rest }, null, 2)}\n`;
}

if (import.meta.main) writeFileSync(schemaFile, jsonSchema());
