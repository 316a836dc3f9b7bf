import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fetchJars } from '../../deploy/local/fetch-jars.ts';
import { findJava } from '../../deploy/local/java.ts';

/** Reads `codec, topic, key and value in base64` lines and sends them; one producer a codec, large batches. */
const source = `
import java.io.*;
import java.nio.charset.StandardCharsets;
import java.util.*;
import org.apache.kafka.clients.producer.*;
import org.apache.kafka.common.serialization.ByteArraySerializer;

public class Send {
  public static void main(String[] args) throws Exception {
    Map<String, KafkaProducer<byte[], byte[]>> producers = new HashMap<>();
    BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
    Base64.Decoder base64 = Base64.getDecoder();
    List<java.util.concurrent.Future<RecordMetadata>> sent = new ArrayList<>();
    for (String line = in.readLine(); line != null; line = in.readLine()) {
      String[] part = line.split(" ");
      KafkaProducer<byte[], byte[]> producer = producers.computeIfAbsent(part[0], codec -> {
        Properties config = new Properties();
        config.put("bootstrap.servers", args[0]);
        config.put("compression.type", codec);
        config.put("linger.ms", "1000");
        config.put("batch.size", "900000");
        return new KafkaProducer<>(config, new ByteArraySerializer(), new ByteArraySerializer());
      });
      sent.add(producer.send(new ProducerRecord<>(part[1], 0, base64.decode(part[2]), base64.decode(part[3]))));
    }
    for (KafkaProducer<byte[], byte[]> producer : producers.values()) producer.close();
    for (java.util.concurrent.Future<RecordMetadata> one : sent) one.get();
  }
}
`;

export interface JavaRecord {
  codec: 'none' | 'gzip' | 'snappy' | 'lz4' | 'zstd';
  topic: string;
  key: string;
  value: Buffer | string;
}

/** A JRE runs the broker; only a JDK also runs source files. */
export async function canRunJavaSource(): Promise<boolean> {
  const { command } = await findJava();
  const child = spawn(command, ['--list-modules'], { stdio: ['ignore', 'pipe', 'ignore'] });
  let modules = '';
  child.stdout.on('data', (part) => (modules += part));
  await once(child, 'close');
  return modules.includes('jdk.compiler');
}

/** Sends records with the Java client, to partition 0, as most producers of this world do; needs a JDK. */
export async function sendFromJava(brokers: readonly string[], records: readonly JavaRecord[]): Promise<void> {
  const folder = await mkdtemp(path.join(tmpdir(), 'weir-java-'));
  try {
    const file = path.join(folder, 'Send.java');
    await writeFile(file, source);
    const [java, jars] = await Promise.all([findJava(), fetchJars()]);
    const child = spawn(java.command, ['-XX:TieredStopAtLevel=1', '-cp', jars.join(':'), file, brokers.join(',')], {
      stdio: ['pipe', 'pipe', 'pipe'],
    });
    let said = '';
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (part) => (said += part));
    const lines = records.map(({ codec, topic, key, value }) =>
      [codec, topic, Buffer.from(key).toString('base64'), Buffer.from(value).toString('base64')].join(' '),
    );
    child.stdin.end(`${lines.join('\n')}\n`);
    const [code] = (await once(child, 'close')) as [number | null];
    if (code !== 0) throw new Error(`the Java producer ended with code ${code}: ${said.slice(-2000)}`);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
