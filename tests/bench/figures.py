# SPDX-License-Identifier: Apache-2.0
"""From the generator's reports to the figures of the tables: which columns a kind of scenario has,
and the tables as text and as Markdown."""
import re
import statistics

from scenarios import BY_NAME

# name, unit in the head of the column, format, taken from one report
MEDIA = [
    ('cpu', 'CPU µs/packet', '{:.2f}', lambda r: r['media']['cpu_us_per_packet']),
    ('p50', 'p50 µs', '{:.0f}', lambda r: r['media']['latency_p50_us']),
    ('p99', 'p99 µs', '{:.0f}', lambda r: r['media']['latency_p99_us']),
    ('loss', 'loss', '{:.3%}', lambda r: r['media']['loss']),
    ('rate', 'packets/s out', '{:.0f}', lambda r: r['media']['received_per_second']),
]


def connected(r):
    return max(r['setup']['legs'], 1)


def per_leg(r, step, what):
    return (r[step]['process'][what] - r['process_before'][what]) / connected(r)


SETUP = [
    ('legs', 'legs/s', '{:.0f}', lambda r: r['setup']['legs_per_second']),
    ('leg_cpu', 'CPU ms/leg', '{:.2f}', lambda r: r['setup']['cpu_us'] / 1e3 / connected(r)),
    ('share', 'server busy', '{:.0%}', lambda r: r['setup']['cpu_share']),
    ('own_share', 'generator busy', '{:.0%}', lambda r: r['setup']['generator_share']),
    ('leave_cpu', 'teardown CPU ms/leg', '{:.2f}',
     lambda r: r['teardown']['cpu_us'] / 1e3 / connected(r) if 'teardown' in r else 0),
]
IDLE = [
    ('kb', 'KB/leg', '{:.0f}', lambda r: per_leg(r, 'idle', 'resident_kb')),
    ('threads', 'threads/leg', '{:.2f}', lambda r: per_leg(r, 'idle', 'threads')),
    ('fds', 'fds/leg', '{:.2f}', lambda r: per_leg(r, 'idle', 'fds')),
    ('leg_cpu', 'set-up CPU ms/leg', '{:.2f}',
     lambda r: r['setup']['cpu_us'] / 1e3 / connected(r)),
    ('idle_cpu', 'idle CPU', '{:.2%}', lambda r: r['idle']['cpu_share']),
    ('left_kb', 'KB/leg kept after teardown', '{:.0f}',
     lambda r: (r['process_after']['resident_kb'] - r['process_before']['resident_kb'])
     / connected(r)),
    ('left_threads', 'threads kept', '{:.0f}',
     lambda r: r['process_after']['threads'] - r['process_before']['threads']),
]
COLUMNS = {'media': MEDIA, 'setup': SETUP, 'idle': IDLE}
SPREAD = {'cpu', 'p99', 'legs', 'leg_cpu', 'kb', 'idle_cpu', 'ratio'}  # least and greatest are shown
MEASURE = 'bare'
SUBJECT = 'wmcf'
RIVAL = 'janus'  # and what begins with it
AIMS = {  # a ratio within one run, at most or at least
    'CPU, wmcf ÷ bare forwarder': ('cpu', SUBJECT, MEASURE, 1.3, False),
    'CPU, best Janus ÷ wmcf': ('cpu', RIVAL, SUBJECT, 4.0, True),
    'p99, wmcf ÷ bare forwarder': ('p99', SUBJECT, MEASURE, 1.3, False),
}
LEG_AIMS = [  # of the subject by itself: scenario, column, limit, whether it is the least
    ('setup1', 'legs', 400, True), ('idle', 'kb', 200, False), ('idle', 'threads', 1, False),
]


def doubts(kind, r):
    """What the reader must know before believing this run."""
    said = []
    if kind == 'media':
        m = r['media']
        if m['sent_share'] < 0.95 or m['generator_share'] > 0.9:
            said.append('the generator did not keep up')
        if m['streams'] < m['streams_expected']:
            said.append(f'{m["streams"]} of {m["streams_expected"]} streams came')
    elif r['setup']['generator_share'] > 0.9:
        said.append('the generator is the bottleneck of the set-up')
    if r['setup']['failed']:
        said.append(f'{r["setup"]["failed"]} legs were not set up')
    return said


def cell(form, name, values):
    text = form.format(statistics.median(values))
    if name in SPREAD and len(values) > 1:
        text += f' ({form.format(min(values))}–{form.format(max(values))})'
    return text


def head(kind):
    titles = [title for _, title, _, _ in COLUMNS[kind]]
    return titles + ['CPU ratio', 'p99 ratio'] if kind == 'media' else titles


def row(kind, reports, measure):
    """Cells of one server in one scenario; `measure` are the bare forwarder's reports or []."""
    columns = COLUMNS[kind]
    cells = [cell(form, name, [get(r) for r in reports]) for name, _, form, get in columns]
    if kind != 'media':
        return cells
    for wanted in ('cpu', 'p99'):
        found = ratios(getter('media', wanted), reports, measure)
        cells.append(cell('{:.2f}', 'ratio', found) if found else '–')
    return cells


def ratios(get, above, below):
    """Of runs that followed one another, which had the same neighbours on the machine."""
    return [get(a) / get(b) for a, b in zip(above, below) if get(b)]


def verdict(form, value, limit, least):
    met = round(value, 2) >= limit if least else round(value, 2) <= limit
    return form.format(value) + ('' if met else ' **missed**')


class Block:
    """The runs of one scenario with one profile, as rows of a table and what is to be said."""

    def __init__(self, scenario, profile, runs):
        self.scenario, self.profile = scenario, profile
        self.by_server, self.by_name = {}, {}
        for r in runs:
            self.by_server.setdefault(r['server'], []).append(r)
            self.by_name.setdefault(r['name'], []).append(r)
        measure = self.by_name.get(MEASURE, [])
        self.rows = [['', *head(scenario.kind)]]
        self.notes = []
        for server, reports in self.by_server.items():
            self.rows.append([server, *row(scenario.kind, reports, measure)])
            for text in sorted({text for r in reports for text in doubts(scenario.kind, r)}):
                self.notes.append(f'{server}: {text}')

    def best(self, name, get):
        """Reports of the server of that name; of several Januses those with the least median."""
        found = [reports for known, reports in self.by_name.items()
                 if known and (known.startswith(name) if name == RIVAL else known == name)]
        return min(found, key=lambda reports: statistics.median(map(get, reports)), default=[])

    def ratios(self):
        """What AIMS says of this block, or None."""
        if self.scenario.kind != 'media' or SUBJECT not in self.by_name:
            return None
        cells = []
        for what, above, below, limit, least in AIMS.values():
            get = getter('media', what)
            found = ratios(get, self.best(above, get), self.best(below, get))
            cells.append(verdict('{:.2f}', statistics.median(found), limit, least) if found
                         else '–')
        return cells

    def leg_aims(self):
        """Pairs of what LEG_AIMS says of this block."""
        found = []
        for scenario, column, limit, least in LEG_AIMS:
            if scenario != self.scenario.name or SUBJECT not in self.by_name:
                continue
            title, form, get = next(c[1:] for c in COLUMNS[self.scenario.kind] if c[0] == column)
            found.append((f'{self.scenario.title}: {title} ({sign(least)} {limit})',
                          verdict(form, statistics.median(map(get, self.by_name[SUBJECT])), limit,
                                  least)))
        return found


def sign(least):
    return '≥' if least else '≤'


def getter(kind, name):
    return next(get for known, _, _, get in COLUMNS[kind] if known == name)


def blocks(runs):
    """In the order of the scenarios."""
    groups = {}
    for r in runs:
        groups.setdefault((r['scenario'], r['profile']), []).append(r)
    order = list(BY_NAME)
    return [Block(BY_NAME[scenario], profile, group) for (scenario, profile), group
            in sorted(groups.items(), key=lambda item: (order.index(item[0][0]), item[0][1]))]


def markdown(runs):
    found = blocks(runs)
    lines = []
    for kind in COLUMNS:
        mine = [b for b in found if b.scenario.kind == kind]
        if not mine:
            continue
        lines += ['| ' + ' | '.join(['scenario', 'SRTP', 'server', *head(kind)]) + ' |',
                  '|---|---|---|' + '--:|' * len(head(kind))]
        lines += ['| ' + ' | '.join([b.scenario.title, b.profile.upper(), *cells]) + ' |'
                  for b in mine for cells in b.rows[1:]]
        lines.append('')
    ratios = [(b, b.ratios()) for b in found if b.ratios()]
    if ratios:
        heads = [f'{name} ({sign(least)} {limit:g})'
                 for name, (_, _, _, limit, least) in AIMS.items()]
        lines += ['| aims | SRTP | ' + ' | '.join(heads) + ' |',
                  '|---|---|' + '--:|' * len(heads)]
        lines += ['| ' + ' | '.join([b.scenario.title, b.profile.upper(), *cells]) + ' |'
                  for b, cells in ratios] + ['']
    legs = [pair for b in found for pair in b.leg_aims()]
    if legs:
        lines += ['| aims of wmcf | |', '|---|--:|',
                  *('| ' + ' | '.join(pair) + ' |' for pair in legs), '']
    lines += [f'- {b.scenario.title}, {b.profile.upper()}, {text}'
              for b in found for text in b.notes]
    return '\n'.join(lines).rstrip() + '\n'


MARKS = re.compile(r'(<!-- table begin -->\n).*?(<!-- table end -->)', re.DOTALL)


def write_markdown(path, text):
    """Between the marks of a document that has them, or as a file of its own."""
    old = path.read_text(encoding='utf-8') if path.exists() else ''
    if MARKS.search(old):
        text = MARKS.sub(lambda m: m.group(1) + text + m.group(2), old)
    path.write_text(text, encoding='utf-8')
