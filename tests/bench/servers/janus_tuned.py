# SPDX-License-Identifier: Apache-2.0
"""Janus as an operator would run it on one core: one event loop for all peer connections in place
of a thread for each, and an ECDSA certificate. ICE stays full, because a lite Janus loses the
ClientHello of a subscriber that was faster than its own answer, and waits for the next. The rest is
as in janus.py."""
import subprocess

from . import janus
from .janus import NAMESPACE, install, missing  # noqa: F401  the same for both

TITLE = 'Janus, tuned'


def start(setting):
    key, certificate = setting.folder / 'key.pem', setting.folder / 'certificate.pem'
    subprocess.run(['openssl', 'req', '-x509', '-newkey', 'ec', '-pkeyopt',
                    'ec_paramgen_curve:P-256', '-nodes', '-subj', '/CN=bench', '-days', '30',
                    '-keyout', key, '-out', certificate], check=True, capture_output=True)
    return janus.start(setting, general=f'event_loops = {setting.workers}',
                       certificates=f'cert_pem = "{certificate}"\ncert_key = "{key}"')
