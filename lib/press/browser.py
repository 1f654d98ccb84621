"""Headless Chromium for the gate, the printed book and the tests, over the DevTools protocol."""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
import tempfile
import time
from collections import deque
from pathlib import Path

import websocket

__all__ = ["Browser", "CHROMIUM"]

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
#: Seconds in which Chromium starts, loads a page, or answers: many, for machines that are busy with other work.
PATIENCE = 300
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--hide-scrollbars", "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE localhost",
    "--remote-debugging-port=0", "--remote-allow-origins=*",
)  # fmt: skip


class Browser:
    """One Chromium; ``visit`` a file and see what the page asked for and complained about."""

    def __init__(self):
        self.profile = tempfile.mkdtemp(prefix="chromium-")
        command = [CHROMIUM, *FLAGS, f"--user-data-dir={self.profile}", "about:blank"]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        address = Path(self.profile) / "DevToolsActivePort"
        deadline = time.monotonic() + PATIENCE
        while not (address.is_file() and len(address.read_text().splitlines()) == 2):
            if time.monotonic() > deadline or self.process.poll() is not None:
                raise RuntimeError("chromium did not start")
            time.sleep(0.1)
        port, path = address.read_text().splitlines()
        self.socket = websocket.create_connection(f"ws://127.0.0.1:{port}{path}", timeout=PATIENCE)
        self.number, self.target, self.session, self.events = 0, None, None, deque()

    def close(self):
        self.socket.close()
        self.process.terminate()
        self.process.wait(30)
        shutil.rmtree(self.profile, ignore_errors=True)

    def new_tab(self):
        """A fresh tab in place of the last one, so that nothing of one page is heard on the next."""
        last, self.session = self.target, None
        self.target = self.call("Target.createTarget", url="about:blank")["targetId"]
        if last:
            self.call("Target.closeTarget", targetId=last)
        self.session = self.call("Target.attachToTarget", targetId=self.target, flatten=True)["sessionId"]
        for domain in ("Page", "Network", "Runtime", "Log"):
            self.call(f"{domain}.enable")
        self.events.clear()

    def call(self, method: str, **params):
        self.number += 1
        message = {"id": self.number, "method": method, "params": params}
        self.socket.send(json.dumps(message | ({"sessionId": self.session} if self.session else {})))
        while True:
            reply = json.loads(self.socket.recv())
            if reply.get("id") == self.number:
                if "error" in reply:
                    raise RuntimeError(f"{method}: {reply['error']['message']}")
                return reply["result"]
            self.events.append(reply)

    def evaluate(self, expression: str):
        """The value of a JavaScript expression, awaited if it is a promise."""
        result = self.call("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        if "exceptionDetails" in result:
            raise RuntimeError(str(result["exceptionDetails"]))
        return result["result"].get("value")

    def visit(self, path: Path, dark: bool = False, width: int = 1280, height: int = 900) -> list[str]:
        """Open a page, wait until it is quiet, and return its complaints: requests to a network, missing files, console errors."""
        self.new_tab()
        self.call(
            "Emulation.setEmulatedMedia",
            features=[{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}],
        )
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=width < 600,
        )
        self.call("Page.navigate", url=path.resolve().as_uri())
        deadline = time.monotonic() + PATIENCE
        while not any(e["method"] == "Page.loadEventFired" for e in self.events):
            assert time.monotonic() < deadline, f"{path} did not load"
            try:
                self.evaluate("1")  # hears what has happened
            except RuntimeError as error:
                if "navigated" not in str(error):  # the blank page made way for this one while it was asked
                    raise
            time.sleep(0.02)
        self.evaluate("window.MathJax?.startup?.promise")
        self.evaluate("document.fonts.ready.then(() => true)")
        # widgets are drawn in tasks of their own; two idle rounds let them finish
        self.evaluate(
            "new Promise(done => requestIdleCallback(() => setTimeout(() => requestIdleCallback(() => done(true)), 150)))"
        )
        return [text for event in self.events if (text := _complaint(event))]

    def pdf(self) -> bytes:
        """The open page as its print rules lay it out."""
        return base64.b64decode(
            self.call(
                "Page.printToPDF", preferCSSPageSize=True, printBackground=True, generateTaggedPDF=False
            )["data"]
        )


def _complaint(event: dict) -> str:
    params = event.get("params", {})
    match event.get("method"):
        case "Network.requestWillBeSent" if not params["request"]["url"].startswith(
            ("file:", "data:", "blob:", "about:")
        ):
            return f"request to {params['request']['url']}"
        case "Network.loadingFailed":
            return f"failed to load {params.get('type')}: {params.get('errorText')}"
        case "Log.entryAdded" if params["entry"]["level"] == "error":
            return f"{params['entry']['text']} {params['entry'].get('url', '')}"
        case "Runtime.consoleAPICalled" if params["type"] in ("error", "assert"):
            return "console: " + " ".join(str(a.get("value", a.get("description"))) for a in params["args"])
        case "Runtime.exceptionThrown":
            details = params["exceptionDetails"]
            return "exception: " + details.get("exception", {}).get("description", details["text"])
    return ""
