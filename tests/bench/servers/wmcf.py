# SPDX-License-Identifier: Apache-2.0
"""wmcf, driven over its control link. One relay worker unless asked otherwise, so that it has no
more cores than the others; QoS is enforced in the relay: what the kernel does is measured by
itself (tests/bench/qos)."""
import socket

from . import Process, free_port

TITLE = 'wmcf'
IDENTITY = 'wsf@bench.example'


def program(setting):
    return setting.build / 'wmcf/wmcf'


def missing(setting):
    return None if program(setting).exists() else f'{program(setting)} is not built'


def start(setting):
    folder, control = setting.folder, free_port()
    (folder / 'token').write_text('bench-token-bench-token\n', encoding='utf-8')
    (folder / 'wmcf.conf').write_text(f"""[wsf "bench"]
webrtc_id = {IDENTITY}
token_file = token
[control]
port = {control}
[media]
bind = 127.0.0.1
port = {free_port(socket.SOCK_DGRAM)}
workers = {setting.workers}
[admin]
socket = {folder}/wmcf.sock
[limits]
terminations_per_context = 256
[qos]
level = relay
[log]
level = warning
""", encoding='utf-8')
    process = Process(setting, [program(setting), '-c', folder / 'wmcf.conf'])
    process.until((folder / 'wmcf.sock').exists, 'wmcf')
    return process, ['control', '--url', f'ws://127.0.0.1:{control}/eirtcw-mc/v1',
                     '--webrtc-id', IDENTITY, '--token-file', str(folder / 'token')]
