#!/usr/bin/python3
"""Changes one figure of the playbooks at a time and looks whether a journey test notices.

usage: tests/mutate/figures.py BUILD [FILE...]      e.g. build/release abandoned/view.yaml; ends with `N killed, M alive`

A duration becomes one second longer and one second shorter, a count, sum or score one larger and one smaller, a clock time
a minute later. A mutant runs against the tests of its own file (the shared files: against all). Left alone, because no test
in virtual time can see them: `keep` (memory), `cost` (reports), shares of people (hashes), durations of `late`, and the
`after` of an exit that no walk can reach, because every step is over before, whatever holds a message until it expires.
"""
import concurrent.futures
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import threading

import yaml

PLAYBOOKS = pathlib.Path(__file__).resolve().parents[2] / 'tools' / 'playbooks'
SHARED = ('events.yaml', 'channels.yaml')
NEVER = 1 << 40
UNITS = {'d': 86400, 'h': 3600, 'm': 60, 's': 1}
UNSEEN = (r'#.*', r'\b(keep|cost|late|cap|anonymous_ttl|known_ttl|holdout|global|priority|holidays):\s*[^,}]*',
          r'\bdescription:\s*("[^"]*"|[^,}\n]*)')
FIGURE = re.compile(r'(?P<duration>(?<![\w.])(?:\d+[dhms])+(?![\w.]))|(?P<clock>"\d\d:\d\d(?:-\d\d:\d\d)?")|(?P<percent>\d+(?:\.\d+)?%)'
                    r'|(?P<number>(?<![\w.":-])\d+(?:\.\d+)?(?![\w.":-]))')


def seconds(text):
    return sum(int(n) * UNITS[u] for n, u in re.findall(r'(\d+)([dhms])', text))


def duration(total):
    return ''.join('%d%s' % (total // UNITS[u] if u == 'd' else total % big // UNITS[u], u)
                   for u, big in (('d', 0), ('h', 86400), ('m', 3600), ('s', 60)) if (total // UNITS[u] if u == 'd' else total % big // UNITS[u]))


def later(clock):
    return re.sub(r'(\d\d):(\d\d)', lambda m: '%s:%02d' % (m[1], (int(m[2]) + 1) % 60), clock, count=1)


def shown(number, step):
    return '%d' % number if step == 1 else '%.2f' % number


def others(match):
    """What the figure is changed into."""
    text = match[0]
    if match['percent']:
        return []
    if match['clock']:
        return [later(text)]
    if match['duration']:
        return [duration(seconds(text) + 1)] + ([duration(seconds(text) - 1)] if seconds(text) > 1 else [])
    step = 1 if '.' not in text else 0.01
    return [shown(float(text) + step, step)] + ([shown(float(text) - step, step)] if float(text) > step else [])


def wait_ends(wait, t):
    if isinstance(wait, str):
        return t + seconds(wait)
    if wait.get('from') == 'entry':
        return max(t, seconds(wait['for']))
    return t + 86400 if 'until' in wait else NEVER  # a silence, a date or a workday may be far away


def latest(steps, t):
    """The second after entry at which the last of these steps is over at the latest, begun at t."""
    for step in steps:
        if not isinstance(step, dict):
            continue
        if 'wait' in step:
            t = wait_ends(step['wait'], t)
        if 'send' in step and step['send'].get('type') != 'transactional':  # held by nothing
            t += seconds(step['send'].get('expires', '1d'))
        if 'wait_for' in step:
            t += seconds(step['wait_for']['timeout']) if 'timeout' in step['wait_for'] else NEVER
        t = max([t, *(latest(way, t) for way in ways(step))])
        t = NEVER if 'goto' in step else t
    return t


def ways(step):
    """The lists of steps inside of a step."""
    if isinstance(step, dict):
        for key, value in step.items():
            if isinstance(value, list) and key != 'any':
                yield value
            elif isinstance(value, dict):
                yield from ways(value)
            elif key == 'any':
                for branch in value:
                    yield from ways(branch)


def unreachable(text):
    """Where exits stand that come when every step is over."""
    for m in re.finditer(r'^    exit: .*\{after: (\S+)\}', text, re.M):
        name = re.findall(r'^  (\w+):', text[:m.start()], re.M)[-1]
        if latest(yaml.safe_load(text)['journeys'][name]['steps'], 0) < seconds(m[1]) - 1:
            yield m.span(1)


def figures(text):
    """(place, what it becomes) of every figure that a test could see."""
    hidden = [False] * len(text)
    for start, end in [m.span() for pattern in UNSEEN for m in re.finditer(pattern, text)] + list(unreachable(text)):
        hidden[start:end] = [True] * (end - start)
    for m in FIGURE.finditer(text):
        if not hidden[m.start()]:
            for other in others(m):
                yield m, other


def mutants(names):
    for path in sorted(PLAYBOOKS.rglob('*.yaml')):
        name = str(path.relative_to(PLAYBOOKS))
        if name.endswith('.test.yaml') or (names and name not in names):
            continue
        text = path.read_text()
        for m, other in figures(text):
            yield name, text, m, other


def directory(home, name):
    """All definitions, and the tests that belong to one of them."""
    if home.exists():
        return home
    shutil.copytree(PLAYBOOKS, home)
    for test in home.rglob('*.test.yaml'):
        if name not in SHARED and not test.name.startswith(pathlib.Path(name).stem + '.'):
            test.unlink()
    return home


def run(job):
    build, home, (name, text, m, other) = job
    place = directory(pathlib.Path(home) / ('%d-%s' % (threading.get_ident(), name.replace('/', '-'))), name)
    (place / name).write_text(text[:m.start()] + other + text[m.end():])
    code = subprocess.run([build / 'hourglass', 'test', place], capture_output=True).returncode
    (place / name).write_text(text)
    line = text.count('\n', 0, m.start()) + 1
    return code, '%s:%d: %s -> %s | %s' % (name, line, m[0], other, text.splitlines()[line - 1].strip())


def main(build, names):
    build = pathlib.Path(build).resolve()
    killed = alive = 0
    with tempfile.TemporaryDirectory() as home, concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for code, what in pool.map(run, [(build, home, mutant) for mutant in mutants(names)]):
            killed += code != 0
            alive += code == 0
            if code == 0:
                print('alive', what, flush=True)
    print('%d killed, %d alive' % (killed, alive))


if __name__ == '__main__':
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    main(sys.argv[1], sys.argv[2:])
