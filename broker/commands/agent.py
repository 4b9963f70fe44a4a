"""`broker agent`: credentials for pods, containers and machines of this node, from a broker elsewhere."""

import argparse
import asyncio
import os
import random
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from broker.commands.refusing import NO_ANSWER, WRONG_USE, failed

if TYPE_CHECKING:
    from broker.agent.settings import AgentSettings

DESCRIPTION = """\
Serve credentials of a broker elsewhere to the pods, containers and machines of this node, or to programs of a laptop.

  broker agent --config /etc/broker/agent.toml     serve the endpoints that the file names
  broker agent --config FILE --check               only say whether the file can be used
  broker agent --profile dev --profile prod=9911   for a laptop: a port of the loopback address for each profile of
                                                   ~/.aws/config, and the variables with which SDKs use it

The agent has neither a store nor a master key. It proves itself to the broker with credentials of its own, found as
any SDK finds them: a profile, AWS_WEB_IDENTITY_TOKEN_FILE, a credential_process. config/workloads.md explains it,
deploy/systemd/broker-agent.toml shows every setting.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.description = DESCRIPTION
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--config", metavar="FILE", type=Path, help="the agent's file, TOML")
    what.add_argument(
        "--profile",
        metavar="NAME[=PORT]",
        action="append",
        dest="profiles",
        help="serve the credentials of this profile to programs of this machine that know its token",
    )
    parser.add_argument("--check", action="store_true", help="check the file, and do nothing")
    parser.add_argument(
        "--log-level", choices=("debug", "info", "warning", "error"), default="info", help="(info)"
    )


def run(chosen: argparse.Namespace) -> int:
    """0 after a stop signal; 2 for a file that cannot be used, 3 where it cannot listen."""
    from broker.agent.settings import AgentConfigurationError, read_agent_settings
    from broker.web.listeners import AddressUnavailable
    from broker.web.log import configure_logging

    configure_logging(chosen.log_level)
    _leave_out("urllib3.contrib.pyopenssl")
    try:
        if chosen.profiles:
            asyncio.run(_serve_profiles(chosen.profiles))
            return 0
        _leave_out("awscrt")
        settings = read_agent_settings(chosen.config, os.environ)
        if not chosen.check:
            asyncio.run(_serve(settings))
    except AgentConfigurationError as error:
        return failed("broker agent", str(error), WRONG_USE)
    except AddressUnavailable as error:
        return failed("broker agent", str(error), NO_ANSWER if error.may_pass else WRONG_USE)
    return 0


def _leave_out(module: str) -> None:
    """Import it no more in this process: what is on each node should be small.

    botocore does without both. pyOpenSSL brings ten megabytes, for one class that urllib3 itself has; AWS's Common
    Runtime brings six, for SigV4A and for `aws login`, which is for people.
    """
    sys.modules.setdefault(module, None)  # type: ignore[arg-type]  # None: not to be imported


async def _serve(settings: "AgentSettings") -> None:
    from broker.agent.running import AgentTools, run_agent
    from broker.agent.sockets import given_sockets
    from broker.system import clock, entropy

    stopping = _stopping()
    await run_agent(settings, AgentTools(clock, random.random, entropy), given_sockets(os.environ), stopping)


async def _serve_profiles(profiles: list[str]) -> None:
    from broker.agent.profiles import parse_profile, run_profiles
    from broker.agent.running import AgentTools
    from broker.system import clock, entropy

    tools = AgentTools(clock, random.random, entropy)
    await run_profiles([parse_profile(text) for text in profiles], tools, _stopping(), _announce)


def _announce(text: str) -> None:
    print(text, flush=True)


def _stopping() -> asyncio.Event:
    """Set by the signals that end a service."""
    stopping = asyncio.Event()
    for one in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(one, stopping.set)
    return stopping
