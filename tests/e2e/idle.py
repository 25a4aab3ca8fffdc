#!/usr/bin/python3
"""What the engine costs while nothing happens: idle CPU, resident memory, and how long an empty directory takes to start.

usage: tests/e2e/idle.py BUILD [SECONDS]     prints the figures, ends with `N passed, N failed`
The promises are CPU < 0.5 %, RSS <= 64 MiB, start < 100 ms. Other work may share the machine, so only what is grossly
wrong fails: three times as much, for the start ten times. Only an optimised build is worth measuring.
"""
import os
import pathlib
import shutil
import sys
import time

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

from harness import Server  # noqa: E402

CPU_MOST, RSS_MOST, START_MOST = 0.015, 192 << 20, 1.0
STARTS = 5


def cpu_seconds(pid):
    fields = pathlib.Path('/proc/%d/stat' % pid).read_text().rsplit(')', 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf('SC_CLK_TCK')


def resident(pid):
    for line in pathlib.Path('/proc/%d/status' % pid).read_text().splitlines():
        if line.startswith('VmRSS:'):
            return int(line.split()[1]) * 1024
    return 0


def measure_start(build):
    """The fastest of a few starts on an empty directory: from exec to the ready line."""
    times = []
    for _ in range(STARTS):
        with Server(build, definitions='') as s:
            s.stop()
            shutil.rmtree(s.data)
            begin = time.monotonic()
            s.start()
            times.append(time.monotonic() - begin)
    return min(times)


def main(build, seconds):
    passed = failed = 0
    start = measure_start(build)
    with Server(build, definitions='') as s:
        pid = s.process.pid
        time.sleep(1)
        begin, used = time.monotonic(), cpu_seconds(pid)
        time.sleep(seconds)
        cpu = (cpu_seconds(pid) - used) / (time.monotonic() - begin)
        rss = resident(pid)
        threads = s.call('sys.hello')['threads']
        s.stop()
    for what, found, most, shown in (('start, ms', start, START_MOST, '%.0f' % (start * 1e3)), ('idle CPU, %', cpu, CPU_MOST, '%.2f' % (cpu * 100)),
                                     ('RSS, MiB', rss, RSS_MOST, '%.1f' % (rss / (1 << 20)))):
        good = found <= most
        passed, failed = passed + good, failed + (not good)
        print('%-8s%-14s %8s   (threads %d)' % ('ok' if good else 'FAILED', what, shown, threads))
    print('%d passed, %d failed' % (passed, failed))
    return 1 if failed else 0


if __name__ == '__main__':
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    sys.exit(main(pathlib.Path(sys.argv[1]).resolve(), float(sys.argv[2]) if len(sys.argv) > 2 else 20))
