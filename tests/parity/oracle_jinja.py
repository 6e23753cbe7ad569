"""What conversations.py and jinja_random.py share: templates as transformers compiles them, and our engine at a pipe."""
import json
import subprocess
import sys

import jinja2
from transformers.utils import chat_template_utils as hf

NOW = "2025-07-10T12:34:56"


class Clock:
    """In place of datetime in transformers' module: strftime_now sees one moment."""

    @staticmethod
    def now():
        import datetime
        return datetime.datetime.fromisoformat(NOW)


hf.datetime = Clock
jinja2.sandbox.MAX_RANGE = 100000


def compiled(source):
    """(template, None) or (None, error)."""
    try:
        return hf._cached_compile_jinja_template(source), None
    except Exception as e:  # noqa: BLE001: whatever Python raises is an error
        return None, describe(e)


def describe(e):
    return "%s: %s" % (type(e).__name__, e)


def render(template, context):
    """{"text", "generation"} or {"error"}; context holds all variables."""
    blocks, ranges = [], []
    try:
        with template.environment.activate_tracker(blocks, ranges):
            for block in template.generate(**context):
                blocks.append(block)
        return {"text": "".join(blocks), "generation": ranges}
    except Exception as e:  # noqa: BLE001
        return {"error": describe(e)}


def merged(ranges):
    """Ranges in order, neighbours joined, empty ones left out: as the marks of characters see them."""
    out = []
    for a, b in ranges:
        if a < b:
            if out and out[-1][1] == a:
                out[-1][1] = b
            else:
                out.append([a, b])
    return out


class Ours:
    def __init__(self, program):
        self.command = [program, NOW]
        self.start()

    def start(self):
        self.p = subprocess.Popen(self.command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def template(self, source):
        self.p.stdin.write(b'{"template": ' + json.dumps(source).encode() + b"}\n")

    def ask(self, context_json):
        """The answer for a context given as JSON; None when the program died (it is started again, without a template)."""
        try:
            self.p.stdin.write(b'{"context": ' + context_json + b"}\n")
            self.p.stdin.flush()
            line = self.p.stdout.readline()
        except BrokenPipeError:
            line = b""
        if not line:
            print("# our program ended: %s" % self.p.wait(), file=sys.stderr)
            self.start()
            return None
        return json.loads(line)
