import { createHash, randomBytes } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';

export interface Credentials {
  name: string;
  password: string;
}

export interface ClickHouseUsers {
  /** Pipelines and migrations: everything. */
  writer: Credentials;
  /** The query service: reads the rows of the workspace that it names in each query. */
  api: Credentials;
  /** Grafana and analysts: read every workspace, within bounds. */
  reader: Credentials;
}

/**
 * What the API and readers may see. Listed table by table rather than granted on the database, so
 * that a new table is closed until somebody says that it is not: the original bytes of dead letters
 * may hold secrets and must stay closed.
 */
export interface ReadableTable {
  name: string;
  /** Tables with a workspace column show the API only the rows of the workspace it asks for. */
  hasWorkspace: boolean;
  /** Where some columns may hold secrets: those that readers may see. The API sees all of them. */
  readerColumns?: readonly string[];
}

interface UsersFileInput {
  database: string;
  users: ClickHouseUsers;
  readable: readonly ReadableTable[];
  /** Where connections may come from; a container sees its host at another address. */
  network?: string;
}

/** Passwords are made once for a data directory and kept beside the data, for its owner only. */
export async function loadOrMakeUsers(dataDir: string): Promise<ClickHouseUsers> {
  const file = path.join(dataDir, 'users.json');
  try {
    return JSON.parse(await readFile(file, 'utf8')) as ClickHouseUsers;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
  }
  const users = {
    writer: makeCredentials('weir_writer'),
    api: makeCredentials('weir_api'),
    reader: makeCredentials('weir_reader'),
  };
  await writeFile(file, `${JSON.stringify(users, null, 2)}\n`, { mode: 0o600 });
  return users;
}

function makeCredentials(name: string): Credentials {
  return { name, password: randomBytes(18).toString('base64url') };
}

export function renderUsersFile(input: UsersFileInput): string {
  const { users } = input;
  return `<clickhouse>
  <profiles>
    <default></default>
    ${apiProfile}
    ${readerProfile}
  </profiles>
  <quotas>
    <default></default>
    ${engineQuota}
  </quotas>
  <users>
    ${engineUser}
    ${renderUser(input, users.writer, 'default', '')}
    ${renderUser(input, users.api, 'api', renderGrants(input, () => []) + renderRowFilters(input))}
    ${renderUser(
      input,
      users.reader,
      'reader',
      renderGrants(input, ({ readerColumns = [] }) => readerColumns),
    )}
  </users>
</clickhouse>
`;
}

/**
 * How everybody reads. With FINAL the engine reads all columns of all rows that an index leaves over, and filters afterwards, unless it is
 * told to look at the sorting key first: that is safe, because rows that are one have one key, and it alone decides
 * which of them are merged. A page of 50 failures read a quarter of the bytes with it. And rows that are one lie in one
 * partition, because nothing moves the time that it is made by: a day that is one part already is read as it is, where FINAL
 * would merge it with all others.
 */
export const readSettings = {
  final: 1,
  optimize_move_to_prewhere_if_final: 1,
  do_not_merge_across_partitions_select_final: 1,
} as const;

const readSettingsXml = Object.entries(readSettings)
  .map(([name, value]) => `<${name}>${value}</${name}>`)
  .join('\n      ');

/**
 * `readonly` 1 refuses every setting in a query, so its limits cannot be lifted by one. The two output settings
 * are those that our client sends with every query: a setting that changes nothing is let through. A query may do without
 * FINAL: pages of a list are read from its end, which FINAL would turn into reading all of it. Answers are small: threads of their
 * own to write them take half a millisecond of each.
 */
const apiProfile = `<api>
      <readonly>1</readonly>
      <date_time_output_format>iso</date_time_output_format>
      <output_format_json_quote_64bit_integers>0</output_format_json_quote_64bit_integers>
      ${readSettingsXml}
      <output_format_parallel_formatting>0</output_format_parallel_formatting>
      <cancel_http_readonly_queries_on_client_close>1</cancel_http_readonly_queries_on_client_close>
      <max_execution_time>30</max_execution_time>
      <max_memory_usage>1000000000</max_memory_usage>
      <max_rows_to_read>2000000000</max_rows_to_read>
      <max_result_rows>1000000</max_result_rows>
      <constraints>
        <log_comment><changeable_in_readonly/></log_comment>
        <final><changeable_in_readonly/></final>
      </constraints>
    </api>`;

/**
 * Grafana and database tools send settings of their own, so readers may change some (`readonly` 2),
 * but not lift their bounds. The lower bounds matter: 0 would mean no limit at all.
 */
const readerProfile = `<reader>
      <readonly>2</readonly>
      ${readSettingsXml}
      <max_execution_time>60</max_execution_time>
      <max_memory_usage>1000000000</max_memory_usage>
      <max_rows_to_read>2000000000</max_rows_to_read>
      <max_result_rows>1000000</max_result_rows>
      <max_concurrent_queries_for_user>16</max_concurrent_queries_for_user>
      <constraints>
        <max_execution_time><min>1</min><max>60</max></max_execution_time>
        <max_memory_usage><min>1</min><max>1000000000</max></max_memory_usage>
        <max_rows_to_read><min>1</min><max>2000000000</max></max_rows_to_read>
        <max_result_rows><min>1</min><max>1000000</max></max_result_rows>
        <read_overflow_mode><readonly/></read_overflow_mode>
        <timeout_overflow_mode><readonly/></timeout_overflow_mode>
        <max_concurrent_queries_for_user><readonly/></max_concurrent_queries_for_user>
      </constraints>
    </reader>`;

/**
 * The embedded engine runs its own start-up queries as `default` without a password, and tells it
 * from nobody else. So that user may do nothing but open the ports, and its quota is used up by the
 * three start-up queries: the door shuts behind the engine.
 */
const engineUser = `<default>
      <no_password/>
      <networks><ip>127.0.0.1</ip></networks>
      <profile>default</profile>
      <quota>engine</quota>
      <grants>
        <query>GRANT SYSTEM LISTEN ON *.*</query>
        <query>GRANT SELECT ON system.numbers</query>
      </grants>
    </default>`;

/** As long an interval as the engine takes; it ends in 2033, and then admits three more queries. */
const engineQuota = '<engine><interval><duration>2000000000</duration><queries>3</queries></interval></engine>';

function renderUser(
  { network = '127.0.0.1' }: UsersFileInput,
  { name, password }: Credentials,
  profile: string,
  rights: string,
): string {
  const digest = createHash('sha256').update(password).digest('hex');
  return `<${name}>
      <password_sha256_hex>${digest}</password_sha256_hex>
      <networks><ip>${network}</ip></networks>
      <profile>${profile}</profile>
      <quota>default</quota>${rights}
    </${name}>`;
}

/** With no grants at all a user would have every right, so an empty list grants what is not there; no columns mean all. */
function renderGrants(
  { database, readable }: UsersFileInput,
  columnsOf: (table: ReadableTable) => readonly string[],
): string {
  checkName(database);
  const tables = readable.length === 0 ? [{ name: 'nothing_yet', hasWorkspace: false }] : readable;
  const grants = tables.map((table) => {
    const columns = columnsOf(table).map(checkName).join(', ');
    const granted = columns === '' ? 'SELECT' : `SELECT(${columns})`;
    return `\n        <query>GRANT ${granted} ON ${database}.${checkName(table.name)}</query>`;
  });
  return `
      <default_database>${database}</default_database>
      <grants>${grants.join('')}
      </grants>`;
}

/** Without a workspace in the query's comment the filter is false for every row. */
const workspaceFilter = `workspace = JSONExtractString(getSetting('log_comment'), 'workspace')`;

function renderRowFilters({ database, readable }: UsersFileInput): string {
  const filters = readable
    .filter((table) => table.hasWorkspace)
    .map(({ name }) => `\n        <${name}><filter>${workspaceFilter}</filter></${name}>`);
  if (filters.length === 0) return '';
  return `
      <databases><${database}>${filters.join('')}
      </${database}></databases>`;
}

/** Names go into XML and SQL as they stand. */
function checkName(name: string): string {
  if (!/^[A-Za-z_]\w*$/.test(name)) throw new Error(`${name} is no name of a database or table`);
  return name;
}
