import type { DatabaseOptions } from '../clickhouse/client.ts';
import type { Settings } from '../schemas/settings.ts';
import type { KafkaOptions } from './kafka.ts';

/** How to reach the brokers, from the settings that say so. */
export function kafkaOptions(settings: Settings): KafkaOptions {
  const { kafkaSaslMechanism: mechanism, kafkaSaslUsername: username, kafkaSaslPassword: password } = settings;
  const { kafkaTlsCaFile: caFile, kafkaTlsCertFile: certFile, kafkaTlsKeyFile: keyFile } = settings;
  return {
    brokers: [...settings.kafkaBrokers],
    clientId: settings.kafkaClientId,
    tls: settings.kafkaTls ? { caFile, certFile, keyFile } : null,
    sasl: mechanism === '' ? null : { mechanism, username, password },
  };
}

export function databaseOptions(settings: Settings): DatabaseOptions {
  return {
    url: settings.clickhouseUrl,
    user: settings.clickhouseUser,
    password: settings.clickhousePassword,
    database: settings.clickhouseDatabase,
    tlsCaFile: settings.clickhouseTlsCaFile,
  };
}
