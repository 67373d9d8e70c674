"""The reference protocol as its README describes it: FastAPI, locks, a queue and a task for every subscriber."""

import asyncio
import json
import socket
from collections import deque
from datetime import datetime, timezone
from uuid import UUID

import uvicorn
from fastapi import FastAPI, WebSocket, WebSocketDisconnect

MAX_HISTORY = 100
MAX_SUBSCRIBER_QUEUE = 50


def now() -> str:
    return datetime.now(timezone.utc).isoformat().replace("+00:00", "Z")


class Subscriber:
    def __init__(self, websocket: WebSocket):
        self.websocket = websocket
        self.queue = asyncio.Queue(maxsize=MAX_SUBSCRIBER_QUEUE)
        self.task = asyncio.create_task(self.send_all())

    async def send_all(self):
        while True:
            await self.websocket.send_json(await self.queue.get())

    def put(self, event: dict, topic: str):
        if self.queue.full():
            self.queue.get_nowait()
            error = {"code": "SLOW_CONSUMER", "message": "Subscriber queue overflow"}
            message = {"type": "error", "topic": topic, "error": error, "ts": now()}
            asyncio.create_task(self.websocket.send_json(message))
        self.queue.put_nowait(event)


class Topic:
    def __init__(self, name: str):
        self.name = name
        self.lock = asyncio.Lock()
        self.subscribers: dict[tuple[WebSocket, str], Subscriber] = {}
        self.history = deque(maxlen=MAX_HISTORY)

    async def subscribe(self, websocket: WebSocket, client_id: str, last_n: int):
        async with self.lock:
            subscriber = Subscriber(websocket)
            self.subscribers[websocket, client_id] = subscriber
            for event in list(self.history)[len(self.history) - last_n :] if last_n else []:
                subscriber.put(event, self.name)

    async def unsubscribe(self, websocket: WebSocket, client_id: str):
        async with self.lock:
            subscriber = self.subscribers.pop((websocket, client_id), None)
            if subscriber:
                subscriber.task.cancel()

    async def publish(self, message: dict):
        event = {"type": "event", "topic": self.name, "message": message, "ts": now()}
        async with self.lock:
            self.history.append(event)
            for subscriber in self.subscribers.values():
                subscriber.put(event, self.name)


topics: dict[str, Topic] = {"bench": Topic("bench")}
topics_lock = asyncio.Lock()
app = FastAPI()


async def handle(websocket: WebSocket, command: dict, mine: set):
    request = {"request_id": command["request_id"]} if "request_id" in command else {}
    if command["type"] == "ping":
        await websocket.send_json({"type": "pong", **request, "ts": now()})
        return
    async with topics_lock:
        topic = topics.get(command["topic"])
    if topic is None:
        error = {"code": "TOPIC_NOT_FOUND", "message": f"Topic '{command['topic']}' not found"}
        await websocket.send_json({"type": "error", **request, "error": error, "ts": now()})
        return
    if command["type"] == "publish":
        UUID(command["message"]["id"])
        await topic.publish(command["message"])
    elif command["type"] == "subscribe":
        await topic.subscribe(websocket, command["client_id"], command.get("last_n", 0))
        mine.add((topic.name, command["client_id"]))
    else:
        await topic.unsubscribe(websocket, command["client_id"])
        mine.discard((topic.name, command["client_id"]))
    ack = {"type": "ack", **request, "topic": topic.name, "status": "ok", "ts": now()}
    await websocket.send_json(ack)


@app.websocket("/ws")
async def serve(websocket: WebSocket):
    await websocket.accept()
    mine: set[tuple[str, str]] = set()
    try:
        while True:
            await handle(websocket, await websocket.receive_json(), mine)
    except WebSocketDisconnect:
        pass
    finally:
        for name, client_id in mine:
            await topics[name].unsubscribe(websocket, client_id)


if __name__ == "__main__":
    listener = socket.create_server(("127.0.0.1", 0), backlog=2048)
    print(json.dumps({"port": listener.getsockname()[1]}, separators=(",", ":")), flush=True)
    config = uvicorn.Config(app, log_level="warning", ws="websockets", ws_per_message_deflate=False)
    asyncio.run(uvicorn.Server(config).serve(sockets=[listener]))
