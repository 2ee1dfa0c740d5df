# SPDX-License-Identifier: Apache-2.0
"""The bare forwarder (tests/bench/bare-forwarder.c): the measure. It has no signalling."""
from . import Process

TITLE = 'bare forwarder'


def program(setting):
    return setting.build / 'tests/bench/bare-forwarder'


def missing(setting):
    return None if program(setting).exists() else f'{program(setting)} is not built'


def start(setting):
    process = Process(setting, [program(setting)])
    port = process.process.stdout.readline().decode().strip()
    return process, ['bare', '--to', f'127.0.0.1:{port}']
