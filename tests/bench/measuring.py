# SPDX-License-Identifier: Apache-2.0
"""One run of one server in one scenario: starts the server, then the generator against it, and
returns the generator's report."""
import importlib
import json
import os
import pathlib
import platform
import subprocess
import sys
import tempfile

import servers

HERE = pathlib.Path(__file__).resolve().parent


def server_names():
    return sorted(p.stem for p in (HERE / 'servers').glob('*.py') if p.stem != '__init__')


class Candidate:
    """A server as it was asked for: NAME[:WORKERS][@BUILD]."""

    def __init__(self, text):
        rest, _, build = text.partition('@')
        self.name, _, workers = rest.partition(':')
        if self.name not in server_names():
            sys.exit(f'there is no server "{self.name}"; there are {", ".join(server_names())}')
        self.module = importlib.import_module(f'servers.{self.name}')
        self.workers = int(workers or 1)
        self.spread = bool(workers)
        self.plain = not workers and not build  # what aims are about
        self.build = pathlib.Path(build).resolve() if build else None
        self.title = (self.module.TITLE + (f', workers {workers}, both cores' if workers else '')
                      + (f' @{build}' if build else ''))

    def setting(self, arguments, folder, cores, profile):
        return servers.Setting(self.build or arguments.build, folder,
                               ','.join(map(str, cores)) if self.spread else str(cores[0]),
                               profile, self.workers)


class Failed(Exception):
    pass


def measure(candidate, scenario, profile, arguments, cores):
    with tempfile.TemporaryDirectory(prefix='bench-') as name:
        setting = candidate.setting(arguments, pathlib.Path(name), cores, profile)
        process, mode = candidate.module.start(setting)
        try:
            command = ['taskset', '-c', cores[-1], arguments.build / 'tests/support/wmcf-load',
                       *mode, '--pid', process.pid, *scenario.arguments,
                       '--seconds', arguments.seconds, '--warm-up', arguments.warm_up,
                       '--srtp-profile', profile, *arguments.generator]
            try:
                done = subprocess.run(list(map(str, command)), capture_output=True, text=True,
                                      timeout=90 + arguments.seconds, check=False,
                                      preexec_fn=servers.come_first)
            except subprocess.TimeoutExpired as error:
                raise Failed('the generator was not done in time') from error
            lines = done.stderr.strip().splitlines()
            try:
                report = json.loads(done.stdout)
            except ValueError:
                raise Failed(lines[-1] if lines else f'generator: {done.returncode}') from None
            if done.returncode and scenario.kind not in report:
                log = process.log.read_text(encoding='utf-8').strip().splitlines()
                raise Failed('; '.join([*lines[-1:], *log[-1:]]) or 'the generator failed')
            return report
        finally:
            process.stop()


def machine():
    model = ''
    try:
        with open('/proc/cpuinfo', encoding='utf-8') as f:
            model = next((line.split(':', 1)[1].strip() for line in f
                          if line.startswith('model name')), '')
    except OSError:
        pass
    return f'{os.cpu_count()} × {model or platform.machine()}, Linux {platform.release()}'
