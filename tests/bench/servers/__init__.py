# SPDX-License-Identifier: Apache-2.0
"""The servers that tests/bench/run can measure: one module here and one adapter of the generator
(tests/support/load/adapter.h) for each.

A module defines
  TITLE      as the table names it
  missing(setting)
             None, or one sentence: why it cannot be measured here and what to do about it
  NAMESPACE  only where it has to run in a network namespace of its own: True
  install()  only where a package is needed: installs it (run --install)
  start(setting)
             starts the program and returns (process, arguments): a `Process` that is ready to be
             used, and the generator's mode with what it needs to find the server, for example
             ['bare', '--to', '127.0.0.1:4711']
`setting` is a `Setting`. Everything that start() writes goes into setting.folder, which is empty and
removed afterwards. Ports are free ones of 127.0.0.1 (free_port). The program keeps its defaults
wherever they are not in the way; what had to be changed is said in the module.
"""
import dataclasses
import os
import pathlib
import signal
import socket
import subprocess
import sys
import time


@dataclasses.dataclass
class Setting:
    build: pathlib.Path  # meson's build directory
    folder: pathlib.Path
    cores: str  # for taskset -c: where the server may run
    profile: str  # 'cm' or 'gcm'; the generator offers no other
    workers: int = 1  # media threads, for servers that let it be chosen


first = True  # run --polite changes it


def come_first():
    """Other work on the machine should not be measured; without the right to, it is."""
    if not first:
        return
    try:
        os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))
    except PermissionError:
        pass


def free_port(kind=socket.SOCK_STREAM):
    with socket.socket(socket.AF_INET, kind) as s:
        s.bind(('127.0.0.1', 0))
        return s.getsockname()[1]


class Process:
    """One program on its cores for one measurement."""

    def __init__(self, setting, command, **more):
        self.log = setting.folder / 'server.log'
        with open(self.log, 'w', encoding='utf-8') as log:
            self.process = subprocess.Popen(['taskset', '-c', setting.cores, *map(str, command)],
                                            stdout=subprocess.PIPE, stderr=log,
                                            cwd=setting.folder, preexec_fn=come_first, **more)
        self.pid = self.process.pid  # taskset becomes the program

    def until(self, ready, what, seconds=10):
        """Waits for ready() to be true."""
        end = time.monotonic() + seconds
        while not ready():
            if self.process.poll() is not None or time.monotonic() > end:
                sys.exit(f'{what} did not start:\n{self.log.read_text(encoding="utf-8")}')
            time.sleep(0.02)

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process.stdout.close()
