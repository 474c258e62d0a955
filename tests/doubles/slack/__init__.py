"""A Slack on loopback for tests: Web API, Socket Mode and Events by HTTP. Start with `double.py`."""

from tests.doubles.slack.double import SlackDouble
from tests.doubles.slack.errors import CannotDo, NotAnswered
from tests.doubles.slack.people import Person, Workspace
from tests.doubles.slack.store import Channel, Message, View
from tests.doubles.slack.thread import Thread

__all__ = ["CannotDo", "Channel", "Message", "NotAnswered", "Person", "SlackDouble", "Thread", "View", "Workspace"]
