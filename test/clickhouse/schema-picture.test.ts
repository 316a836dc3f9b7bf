import path from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { Database } from '../../clickhouse/client.ts';
import { migrate, migrateOptions } from '../../clickhouse/migrate.ts';
import { drawSchema } from '../../clickhouse/schema-picture.ts';
import { describeTables, findUndefined } from '../../clickhouse/table-page.ts';
import { createTestDatabase } from '../support/stack.ts';
import { defaultSettings } from './default-settings.ts';

const target = await createTestDatabase('schema_picture');
const database = new Database(target);

beforeAll(async () => {
  await migrate(target, migrateOptions(defaultSettings()));
});

afterAll(() => database.close());

it('schema.sql shows the database as the migrations leave it; `npm run schema` draws it again', async () => {
  const picture = await drawSchema(database);
  await expect(picture).toMatchFileSnapshot(path.join(import.meta.dirname, '../../clickhouse/schema.sql'));
  expect(picture).not.toContain(target.database);
});

it('TABLES.md tells what every column means; `npm run schema` writes it again', async () => {
  const page = await describeTables(database);
  expect(findUndefined(page)).toEqual([]);
  await expect(page).toMatchFileSnapshot(path.join(import.meta.dirname, '../../clickhouse/TABLES.md'));
  expect(page).not.toContain(target.database);
});
