# SPDX-License-Identifier: Apache-2.0
"""rtpengine from the distribution's package, over its ng protocol, as it comes, but in user space:
its kernel module would have to be built and loaded into the machine. It has no BUNDLE, so audio and
video together cannot be measured with legs that have one socket."""
import os
import shutil
import socket
import subprocess

from . import Process, free_port

TITLE = 'rtpengine'
PROGRAM = '/usr/bin/rtpengine'


def missing(setting):
    return None if shutil.which(PROGRAM) else 'rtpengine is not installed: tests/bench/run --install'


def install():
    subprocess.run(['apt-get', 'install', '-y', '--no-install-recommends', 'rtpengine-daemon'],
                   check=True)
    if os.path.isdir('/run/systemd/system'):  # the program is wanted, not the package's service
        subprocess.run(['systemctl', 'disable', '--now', 'rtpengine-daemon'], check=True)


def start(setting):
    control = free_port(socket.SOCK_DGRAM)
    (setting.folder / 'rtpengine.conf').write_text(f"""[rtpengine]
table = -1
interface = 127.0.0.1
listen-ng = 127.0.0.1:{control}
port-min = 20000
port-max = 32000
log-level = 4
""", encoding='utf-8')

    def listens():
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
            s.settimeout(0.2)
            try:
                s.connect(('127.0.0.1', control))
                s.send(b'ready {"command":"ping"}')
                return b'pong' in s.recv(100)
            except OSError:
                return False

    process = Process(setting, [PROGRAM, '--foreground', '--log-stderr',
                                f'--config-file={setting.folder / "rtpengine.conf"}'])
    process.until(listens, 'rtpengine')
    return process, ['rtpengine', '--to', f'127.0.0.1:{control}']
