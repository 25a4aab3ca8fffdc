"""All playbooks together over the demo shop's year."""
import time

import harness
from harness import expect
from test_cli import run


def test_a_year_of_the_shop_through_all_playbooks_twice_gives_the_same_bytes(build):
    year = harness.DEMO / 'orders.ndjson.gz'
    command = ['simulate', '--definitions', harness.ROOT / 'tools' / 'playbooks', '--events', year, '--hash-secret', '00' * 16]
    began = time.monotonic()
    first = run(build, *command)
    seconds = time.monotonic() - began
    expect((first.returncode, first.stdout.count('\n') > 100), (0, True), first.stderr)
    expect(run(build, *command).stdout, first.stdout, 'the second run')
    print('one year, all playbooks: %d actions in %.1f s' % (first.stdout.count('\n'), seconds))
