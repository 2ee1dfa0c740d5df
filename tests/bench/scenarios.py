# SPDX-License-Identifier: Apache-2.0
"""What tests/bench/run can measure. Video is 30 frames/s of VP8-like packets of one size, audio 50
packets/s of 172 octets; nothing is lost on purpose and nothing retransmitted."""
import dataclasses


@dataclasses.dataclass(frozen=True)
class Scenario:
    name: str
    title: str
    kind: str  # 'media', 'idle' or 'setup'
    arguments: tuple  # of the generator
    usual: bool = True  # without --scenarios
    profiles: bool = True  # measured with each SRTP profile, or with the first only


VIDEO = ('--bitrate', 1_000_000)
FAST = ('--bitrate', 4_800_000)  # 500 packets/s
AUDIO = ('--audio', '--no-video')

SCENARIOS = [
    Scenario('calls', '100 two-way audio calls', 'media',
             ('--contexts', 100, '--two-way', *AUDIO)),
    Scenario('fan50', '1→50 video, 1 Mb/s', 'media', ('--fan-out', 50, *VIDEO)),
    Scenario('fan200', '1→200 video, 1 Mb/s', 'media', ('--fan-out', 200, *VIDEO)),
    Scenario('rooms', '10 rooms × 4, audio and video 1 Mb/s', 'media',
             ('--contexts', 10, '--room', 4, '--audio', *VIDEO)),
    Scenario('idle', '500 idle legs, audio and video', 'idle',
             ('--contexts', 250, '--two-way', '--audio', '--idle'), profiles=False),
    Scenario('setup1', 'set-up of 400 legs, one after the other', 'setup',
             ('--contexts', 200, '--two-way', *AUDIO, '--setup-only', '--parallel', 1),
             profiles=False),
    Scenario('setup50', 'set-up of 400 legs, 50 at once', 'setup',
             ('--contexts', 200, '--two-way', *AUDIO, '--setup-only', '--parallel', 50),
             profiles=False),
    # Parts of the picture, for work on one of them.
    Scenario('fan1', '1→1 video, 4.8 Mb/s', 'media', ('--fan-out', 1, *FAST), usual=False),
    Scenario('fan10', '1→10 video, 4.8 Mb/s', 'media', ('--fan-out', 10, *FAST), usual=False),
    Scenario('10fan1', '10 × 1→1 video, 4.8 Mb/s', 'media',
             ('--contexts', 10, '--fan-out', 1, *FAST), usual=False),
    Scenario('10fan10', '10 × 1→10 video, 4.8 Mb/s', 'media',
             ('--contexts', 10, '--fan-out', 10, *FAST), usual=False),
    Scenario('fan39', '1→39 video, 1 Mb/s', 'media', ('--fan-out', 39, *VIDEO), usual=False),
    Scenario('fan100', '1→100 video, 1 Mb/s', 'media', ('--fan-out', 100, *VIDEO), usual=False),
    Scenario('call', 'one two-way audio call', 'media', ('--two-way', *AUDIO), usual=False),
]
BY_NAME = {scenario.name: scenario for scenario in SCENARIOS}
