# SPDX-License-Identifier: Apache-2.0
"""Janus 1.x from the distribution's package, over its WebSocket API, as it is installed: a thread
for each peer connection, full ICE, an RSA certificate of its own. (janus_tuned.py is the other way.)

Changed: only the plugins videoroom and videocall and the WebSocket transport are loaded, it logs no
more than warnings, and it has one ICE address. libnice has no candidates on the loopback interface,
so that address, and that of the legs, is one of another interface; between programs of one machine
packets pass through loopback all the same. Hence the namespace.
"""
import json
import os
import pathlib
import shutil
import socket
import subprocess

from . import Process, free_port

TITLE = 'Janus'
NAMESPACE = True
PROGRAM = '/usr/bin/janus'
PARTS = {'plugins': ('videoroom', 'videocall'), 'transports': ('websockets',), 'events': (),
         'loggers': ()}


def address():
    """Name and IPv4 address of the first interface besides loopback that has one."""
    listed = subprocess.run(['ip', '-json', '-4', 'addr', 'show', 'up'], capture_output=True,
                            text=True, check=False)
    for entry in json.loads(listed.stdout or '[]'):
        if 'LOOPBACK' not in entry['flags'] and entry['addr_info']:
            return entry['ifname'], entry['addr_info'][0]['local']
    raise OSError('no interface besides loopback has an address')


def missing(setting):
    if not shutil.which(PROGRAM):
        return 'Janus is not installed: tests/bench/run --install'
    return None


def install():
    subprocess.run(['apt-get', 'install', '-y', '--no-install-recommends', 'janus'], check=True)
    if os.path.isdir('/run/systemd/system'):  # the program is wanted, not the package's service
        subprocess.run(['systemctl', 'disable', '--now', 'janus'], check=True)


def folders(setting):
    """Folders with what is to be loaded and nothing else, as lines of the configuration."""
    installed = next(pathlib.Path('/usr/lib').glob('*/janus'))
    lines = []
    for kind, names in PARTS.items():
        (setting.folder / kind).mkdir()
        for name in names:
            library = f'libjanus_{name}.so'
            (setting.folder / kind / library).symlink_to(installed / kind / library)
        lines.append(f'{kind}_folder = "{setting.folder / kind}"')
    return '\n'.join(lines)


def start(setting, general='', certificates=''):
    folder, control = setting.folder, free_port()
    interface, local = address()
    (folder / 'janus.jcfg').write_text(f"""general: {{
{folders(setting)}
debug_level = 3
log_to_stdout = false
log_to_file = "{folder}/server.log"
{general}
}}
certificates: {{ {certificates} }}
nat: {{ ice_enforce_list = "{interface}" }}
""", encoding='utf-8')
    (folder / 'janus.transport.websockets.jcfg').write_text(f"""general: {{
json = "compact"
ws = true
ws_ip = "127.0.0.1"
ws_port = {control}
wss = false
}}
admin: {{ admin_ws = false }}
""", encoding='utf-8')
    for name in PARTS['plugins']:
        (folder / f'janus.plugin.{name}.jcfg').touch()

    def listens():
        with socket.socket() as s:
            return s.connect_ex(('127.0.0.1', control)) == 0

    process = Process(setting, [PROGRAM, '--configs-folder', folder])
    process.until(listens, 'Janus')
    return process, ['janus', '--url', f'ws://127.0.0.1:{control}', '--bind', local]
