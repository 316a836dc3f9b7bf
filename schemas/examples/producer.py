# Sends a start and an end of one task to Weir as JSON. Needs: pip install kafka-python. Run: python3 producer.py
import json
import os
import time

from kafka import KafkaProducer

topic = os.environ.get("TOPIC_TASKS", "telemetry.tasks")
execution_id = os.environ.get("EXECUTION_ID", f"example-{int(time.time())}")
producer = KafkaProducer(
    bootstrap_servers=os.environ.get("KAFKA_BROKERS", "127.0.0.1:9092").split(","),
    acks="all",
    key_serializer=str.encode,
    value_serializer=lambda record: json.dumps(record, allow_nan=False).encode(),
)
now_ms = lambda: int(time.time() * 1000)
task = {"source": "example", "workflow_id": "orders", "execution_id": execution_id, "task_id": "load", "attempt": 1}
started_at = now_ms()
producer.send(topic, key=execution_id, value={**task, "state": "running", "event_time": started_at})
time.sleep(0.05)
# An end carries its start, so that its duration is known whatever became of the first record.
producer.send(topic, key=execution_id, value={**task, "state": "completed", "event_time": now_ms(), "started_at": started_at})
producer.flush()
