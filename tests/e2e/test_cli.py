"""The command line as a user meets it."""
import contextlib
import fcntl
import json
import os
import pty
import select
import signal
import struct
import subprocess
import termios
import time

import harness
from harness import Server, expect

TRACK = {'type': 'track', 'event': 'Order Completed', 'timestamp': '2026-03-01T10:00:00.000Z'}


def run(build, *arguments, stdin=None):
    return subprocess.run([str(build) + '/hourglass', *map(str, arguments)], capture_output=True, text=True, input=stdin)


def test_usage_errors_are_2_and_suggest(build):
    done = run(build, 'stast')
    expect((done.returncode, 'stats' in done.stderr), (2, True), 'mistyped command')
    done = run(build, 'ingest', '--folow-clock', 'x')
    expect((done.returncode, '--follow-clock' in done.stderr), (2, True), 'mistyped option')
    done = run(build, 'stats', '--help')
    expect((done.returncode, 'Usage' in done.stdout, done.stderr), (0, True, ''), 'help')


WRONG = [  # arguments, what is said, what the usage shows
    (['segment'], 'something is missing', 'segment list | count NAME | members NAME | explain NAME ID | overlap [A B]'),
    (['segment', 'count'], 'segment count: NAME is missing', 'segment count NAME'),
    (['segment', 'cuont', 'x'], "there is no 'cuont'; did you mean 'count'?", 'segment list | '),
    (['segment', 'explain', 'x'], 'ID is missing', 'segment explain NAME ID'),
    (['segment', 'overlap', 'x'], 'name two of them, or none', 'segment overlap [A B]'),
    (['journey', 'show'], 'NAME is missing', 'journey show NAME'),
    (['journey', 'enroll', 'x'], 'ID is missing', 'journey enroll NAME ID'),
    (['journey', 'list', 'x'], 'one argument too many: x', 'journey list'),
    (['definitions', 'diff'], 'N is missing', 'definitions diff N [M]'),
    (['definitions', 'diff', 'two'], "not 'two'", 'definitions diff N [M]'),
    (['tail', 'evnets'], "did you mean 'events'?", 'tail actions | events | transitions | rejects'),
    (['tail', 'events', '--pending'], 'only actions', 'tail events'),
    (['simulate', '--definitions', 'd'], '--events FILE is missing', 'simulate --definitions DIR --events FILE'),
    (['preview', 't'], '--profile ID is missing', 'preview TEMPLATE --profile ID'),
    (['send-test', 'j', 's'], '--to ADDRESS is missing', 'send-test JOURNEY STEP --to ADDRESS [--profile ID]'),
    (['restore', 'a'], 'DATA is missing', 'restore DIR DATA'),
    (['completion', 'tcsh'], "there is no 'tcsh'", 'completion bash | zsh | fish | man'),
    (['stats', '-x'], 'unknown option -x', 'stats'),
    (['stats', 'x'], 'one argument too many: x', 'stats'),
    (['stats', '--admin'], 'an argument is missing behind --admin', 'stats'),
    (['--no-such', 'stats'], 'unknown option --no-such', 'stats'),
]


def test_wrong_arguments_are_2_with_the_reason_and_the_usage_a_line_each(build):
    for arguments, said, usage in WRONG:
        done = run(build, *arguments)
        lines = done.stderr.splitlines()
        expect((done.returncode, len(lines), said in lines[0], lines[1].startswith('Usage: hourglass ' + usage), done.stdout),
               (2, 2, True, True, ''), '%s: %s' % (arguments, done.stderr))
    for word in ('pause', 'resume', 'close'):
        done = run(build, 'journey', word, 'x')
        expect((done.returncode, 'apply' in done.stderr), (2, True), done.stderr)
    done = run(build, 'help', 'foo')
    expect((done.returncode, 'did you mean' in done.stderr), (2, False), 'nothing is near')


def test_options_of_everybody_may_stand_before_the_command(build):
    expect(json.loads(run(build, '--json', 'version').stdout)['version'] != '', True, 'flag')
    done = run(build, '--admin', 'unix:///nonexistent/one.sock', '--json', 'segment', 'list')
    expect((done.returncode, '/nonexistent/one.sock' in done.stderr), (69, True), done.stderr)
    expect('unix:///x' in run(build, '--admin', 'unix:///x', '--print-config').stdout, True, 'without a command')
    expect(run(build, '--json').returncode, 2, 'nothing to do')


def test_unreachable_server_is_69(build):
    done = run(build, 'stats', '--admin', 'unix:///nonexistent/admin.sock')
    expect((done.returncode, 'hourglassd' in done.stderr), (69, True), 'unreachable')
    with Server(build) as s, harness.scratch() as home:
        def heard():
            s.cli('ingest', harness.write_lines(home / 'm.ndjson', [dict(TRACK, userId='u', messageId=str(time.monotonic()))]))
            return select.select([tail.stdout], [], [], 0)[0]

        tail = subprocess.Popen([s.build / 'hourglass', 'tail', 'events', '--admin', 'unix://%s' % s.admin_path],
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        harness.until(heard, 'an event')
        s.kill()
        expect((tail.wait(30), 'closed the connection' in tail.communicate()[1]), (69, True), 'killed meanwhile')


def test_health_is_critical_without_an_answer(build):
    with Server(build) as s:
        good = s.cli('health')
        expect((good.stdout.startswith('HOURGLASS OK - '), json.loads(s.cli('health', '--json').stdout)['state']), (True, 'OK'), good.stdout)
        s.process.send_signal(signal.SIGSTOP)
        stopped = s.cli('health', check=False)
        expect((stopped.returncode, stopped.stdout), (2, 'HOURGLASS CRITICAL - no answer\n'), 'it hangs')
        s.kill()
        gone = s.cli('health', check=False)
        expect((gone.returncode, gone.stdout.startswith('HOURGLASS CRITICAL - '), gone.stderr), (2, True, ''), 'it is gone')
        away = run(build, 'health', '--admin', 'unix:///nonexistent/a.sock', '--json')
        expect((away.returncode, 'nobody answers' in json.loads(away.stdout)['why']), (2, True), 'it never was')


def test_top_fits_the_screen_and_gives_it_back(build):
    with Server(build) as s:
        terminal, other = pty.openpty()
        fcntl.ioctl(other, termios.TIOCSWINSZ, struct.pack('HHHH', 6, 40, 0, 0))
        top = subprocess.Popen([s.build / 'hourglass', 'top', '--admin', 'unix://%s' % s.admin_path], stdout=other, stderr=other)
        os.close(other)
        data = b''
        while data.count(b'\x1b[H') < 2:
            data += os.read(terminal, 1 << 16)
        s.kill()
        with contextlib.suppress(OSError):  # how Linux says that nobody holds the other side
            while True:
                data += os.read(terminal, 1 << 16)
        top.wait(30)
        first = data.split(b'\x1b[H')[1]
        expect((data.startswith(b'\x1b[?1049h'), first.count(b'\n')), (True, 5), 'six rows')
        expect((top.returncode, b'hourglass: ' in data[data.index(b'\x1b[?1049l'):]), (69, True), 'the message comes after the screen is given back')
        os.close(terminal)
        expect(run(build, 'top', '--interval', '0').returncode, 2, 'no pause')


def test_output_that_cannot_be_written_is_74_and_one_that_nobody_reads_is_fine(build):
    simulate = ['simulate', '--definitions', harness.DEMO / 'definitions', '--events', harness.DEMO / 'orders.ndjson.gz', '--until', '2011-02-01T00:00:00Z']
    for command in (['schema'], ['version'], ['help'], ['stats', '--help'], ['--print-config'], ['test', harness.DEMO / 'definitions'],
                    ['map', harness.DEMO / 'definitions'], ['completion', 'man'], simulate):
        line = [str(build) + '/hourglass', *map(str, command)]
        with open('/dev/full', 'w') as full:
            done = subprocess.run(line, stdout=full, stderr=subprocess.PIPE, text=True)
        expect((done.returncode, 'standard output: No space' in done.stderr), (74, True), '%s: %s' % (command, done.stderr))
        reader, writer = os.pipe()
        os.close(reader)
        done = subprocess.run(line, stdout=writer, stderr=subprocess.PIPE, text=True)
        os.close(writer)
        expect((done.returncode, done.stderr), (0, ''), str(command))


def test_a_file_that_is_not_there_is_a_failure_and_no_damage(build):
    for command in (['inspect', '/nonexistent'], ['inspect', '/'], ['restore', '/nonexistent', '/nonexistent/data'], ['ingest', '/nonexistent'],
                    ['simulate', '--definitions', harness.DEMO / 'definitions', '--events', '/nonexistent']):
        done = run(build, *command)
        expect((done.returncode, len(done.stderr.splitlines())), (1, 1), '%s: %s' % (command, done.stderr))
    for command in (['check'], ['apply'], ['test'], ['map'], ['simulate', '--events', '-', '--definitions']):
        expect(run(build, *command, '/nonexistent').returncode, 3, str(command))


def test_settings_come_from_flag_environment_file_default(build):
    with harness.scratch() as home:
        (home / 'c.yaml').write_text('admin: unix:///from-file\n')
        done = run(build, 'stats', '--config', home / 'c.yaml', '--ingest-is-not-an-option')
        expect(done.returncode, 2, 'unknown option')
        done = run(build, 'stats', '--config', home / 'c.yaml', '--print-config')
        expect((done.returncode, 'unix:///from-file' in done.stdout), (0, True), 'print-config')
        (home / 'c.yaml').write_text('# where\nadmin: "unix:///quoted"  # production\ningest: tcp://h:1 # too\n')
        said = subprocess.run([str(build) + '/hourglass', '--config', home / 'c.yaml', '--print-config'], capture_output=True, text=True,
                              env={'HOURGLASS_ADMIN': '', 'HOURGLASS_INGEST': 'tcp://e:2'}).stdout
        expect([line.split() for line in said.splitlines()],
               [['admin', 'unix:///quoted', str(home / 'c.yaml')], ['ingest', 'tcp://e:2', 'HOURGLASS_INGEST']], 'quotes, comments, empty variables')
        (home / 'c.yaml').write_text('admn: unix:///x\n')
        done = run(build, 'stats', '--config', home / 'c.yaml')
        expect((done.returncode, "did you mean 'admin'" in done.stderr), (78, True), 'bad config')


def test_ingest_names_the_line_and_column_of_bad_json(build):
    with Server(build) as s, harness.scratch() as home:
        (home / 'bad.ndjson').write_text('{"type":"track","userId":"u","event":"E"}\n{"type": tru}\n')
        done = s.cli('ingest', home / 'bad.ndjson', check=False)
        expect((done.returncode, 'bad.ndjson:2:10' in done.stderr), (65, True), done.stderr)
        s.stop()


def test_an_interrupted_ingest_says_how_far_it_came(build):
    with Server(build, arguments=['--fake-clock', '2026-03-01T00:00:00Z']) as s, harness.scratch() as home:
        messages = [dict(TRACK, userId='u', messageId=str(i), timestamp='2026-03-%02dT10:%02d:%02dZ' % (1 + i // 3600, i // 60 % 60, i % 60))
                    for i in range(100000)]
        ingest = subprocess.Popen([s.build / 'hourglass', 'ingest', '--follow-clock', harness.write_lines(home / 'm.ndjson', messages)],
                                  env=dict(os.environ, HOURGLASS_ADMIN='unix://%s' % s.admin_path, HOURGLASS_INGEST='tcp://127.0.0.1:%d' % s.port),
                                  stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        s.wait_received(10)
        s.process.send_signal(signal.SIGSTOP)  # it waits for an answer that does not come
        ingest.send_signal(signal.SIGINT)
        said = ingest.communicate(timeout=30)[0]
        expect((ingest.returncode, 'interrupted, send the file again' in said), (130, True), said)
        s.kill()


def test_what_editors_and_slips_leave_in_a_file(build):
    with Server(build) as s, harness.scratch() as home:
        (home / 'm.ndjson').write_bytes(b'\xef\xbb\xbf' + json.dumps(dict(TRACK, userId='u')).encode() + b'\r\n\r\n')
        expect(s.cli('ingest', home / 'm.ndjson').stdout.startswith('1 message acknowledged'), True, 'a byte order mark and an empty line')
        expect(s.stats()['events']['applied'], 1, 'applied')
        (home / 'cut.gz').write_bytes((harness.DEMO / 'orders.ndjson.gz').read_bytes()[:1000])
        done = s.cli('ingest', home / 'cut.gz', check=False)
        expect((done.returncode, 'cut.gz: the compressed file ends too early' in done.stderr), (65, True), done.stderr)
        for arguments, code in ((['ingest', home / 'm.ndjson', '--tag', ''], 2), (['ingest', home / 'm.ndjson', '--ingest', 'unix://%s' % s.admin_path], 69),
                                (['stats', '--admin', 'localhost:1'], 2), (['call', 'profile.get', 'u1'], 2)):
            expect(s.cli(*arguments, check=False).returncode, code, str(arguments))
        s.stop()


def test_ingest_twice_counts_once(build):
    with Server(build) as s, harness.scratch() as home:
        messages = [dict(TRACK, userId='u%d' % (i % 50), messageId='m%d' % i, properties={'total': 1.5}) for i in range(2500)]
        lines = harness.write_lines(home / 'm.ndjson', messages)
        for _ in range(2):
            done = s.cli('ingest', lines, '--json')
            expect(json.loads(done.stdout)['acknowledged'], 2500, 'acknowledged')
        events = s.stats()['events']
        expect((events['applied'], events['duplicate'], events['late']), (2500, 2500, 0), 'counted')
        s.stop()


def test_questions_answer_in_json(build):
    with Server(build) as s, harness.scratch() as home:
        s.cli('ingest', harness.write_lines(home / 'm.ndjson', [dict(TRACK, userId='u1', messageId='m', properties={'total': 3})]))
        profile = json.loads(s.cli('profile', 'u1', '--json').stdout)
        expect((profile['user_id'], profile['events']['Order Completed']['count']), ('u1', 1), 'profile')
        expect([x['name'] for x in profile['segments']], ['buyers'], 'segments of the profile')
        expect(json.loads(s.cli('segment', 'count', 'buyers', '--json').stdout)['members'], 1, 'segment count')
        expect(json.loads(s.cli('count', 'count("Order Completed") > 0', '--json').stdout)['count'], 1, 'ad-hoc count')
        expect(json.loads(s.cli('call', 'segment.count', '{"name":"buyers"}').stdout)['members'], 1, 'raw call')
        for command in (['stats'], ['segment', 'list'], ['segment', 'members', 'buyers'], ['journey', 'list'], ['top', '--once'],
                        ['profile', 'u1'], ['health'], ['definitions', 'history'], ['snapshot']):
            s.cli(*command)
        s.stop()


def test_apply_says_what_runs_and_refuses_with_3(build):
    with Server(build) as s:
        expect(s.cli('apply', s.definitions).stdout, 'nothing to do: the same text already runs, as version 1\n', 'the same')
        (s.definitions / 'shop.yaml').write_text(harness.SHOP + 'journeys: {j: {trigger: {event: Order Completed}, steps: [{wait: 1d}]}}\n')
        done = s.cli('apply', s.definitions)
        expect((done.stdout, 'warning' in done.stderr), ('version 2 runs\n', True), 'text, warnings on stderr')
        expect(json.loads(s.cli('apply', s.definitions, '--json').stdout)['changed'], False, 'JSON')
        expect(s.cli('definitions', 'revert', '1').stdout, 'version 3 runs, with the text of version 1\n', 'revert')
        history = json.loads(s.cli('definitions', 'history', '--json').stdout)
        expect([(v['version'], v['files'], v['bytes']) for v in history][::2], [(n, 1, len(harness.SHOP)) for n in (1, 3)], 'what was applied')
        (s.definitions / 'shop.yaml').write_text(harness.SHOP.replace('count(', 'cuont('))
        done = s.cli('apply', s.definitions, check=False)
        expect((done.returncode, 'shop.yaml:5:11: error' in done.stderr, done.stdout), (3, True, ''), done.stderr)
        for wrong, code in (['count', '1 +'], 3), (['call', 'no.such'], 2), (['call', 'segment.count', '[]'], 2), (['segment', 'count', 'x'], 1):
            expect(s.cli(*wrong, check=False).returncode, code, str(wrong))
        s.stop()


def test_what_people_read_is_no_json(build):
    journey = 'journeys: {j: {description: Calls, state: live, trigger: manual, holdout: 5%, exit: [{after: 9d}], steps: [{wait: {from: entry, for: 1d}}]}}\n'
    with Server(build, harness.SHOP + '  never: count("Order Completed") > 99\n' + journey) as s, harness.scratch() as home:
        s.cli('ingest', harness.write_lines(home / 'm.ndjson', [dict(TRACK, userId='u1', messageId='m', properties={'order_id': 'a,b', 'total': 3})]))
        text = s.cli('profile', 'u1').stdout
        expect(('user u1\n' in text, 'anonymous' in text, 'Order Completed          1 time, ' in text), (True, False, True), text)
        text = s.cli('journey', 'show', 'j').stdout
        expect((text.startswith('j (live, version 1)\nCalls\n'), '{' in text, '0     wait' in text), (True, False, True), text)
        for command in (['snapshot'], ['backup', home / 'b'], ['journey', 'enroll', 'j', 'u1'], ['journey', 'skip', 'j', 'u1']):
            expect('{' in s.cli(*command).stdout, False, str(command))
        expect(s.cli('segment', 'overlap').stdout, 'no two segments share anybody\n', 'overlap')
        expect(json.loads(s.cli('segment', 'overlap', '--json').stdout), [], 'overlap as JSON')
        expect(s.cli('segment', 'overlap', 'buyers', 'never').stdout, 'buyers, never: 0 in both, 1 only in buyers, 0 only in never\n', 'of two')
        s.stop()


def test_columns_are_separated_by_commas_outside_of_brackets_and_texts(build):
    with Server(build) as s, harness.scratch() as home:
        s.cli('ingest', harness.write_lines(home / 'm.ndjson', [dict(TRACK, userId='u1', messageId='m', properties={'total': 3})]))
        for columns, shown in (('profile.user_id, sum("Order Completed", e.total)', 'u1\tu1\t3\n'), ('count("Order Completed");"a,b;\\"c"', 'u1\t1\ta,b;"c\n'),
                               ("[1, 2], 'x'", 'u1\t1, 2\tx\n')):
            expect(s.cli('segment', 'members', 'buyers', '--columns', columns).stdout, shown, columns)
        s.stop()


def test_an_operator_enrolls_skips_cancels_and_restarts(build):
    journey = ('channels: {crm: {consent: not_needed}}\njourneys: {j: {state: live, trigger: manual, reentry: always, exit: [{after: 9d}], '
               'steps: [{wait: 1d}, {task: {channel: crm, title: Call}}]}}\n')
    with Server(build, harness.SHOP + journey) as s, harness.scratch() as home:
        s.cli('ingest', harness.write_lines(home / 'm.ndjson', [dict(TRACK, userId='u1', messageId='m')]))
        expect('an operator starts it' in s.cli('why', 'u1', 'j').stdout, True, 'before')
        expect('wait at step 0' in s.cli('journey', 'enroll', 'j', 'u1').stdout, True, 'enroll')
        expect('cancelled' in s.cli('journey', 'cancel', 'j', 'u1').stdout, True, 'cancel')
        expect('wait at step 0' in s.cli('journey', 'restart', 'j', 'u1').stdout, True, 'restart')
        expect('walked to the end' in s.cli('journey', 'skip', 'j', 'u1').stdout, True, 'skip')
        expect(s.stats()['actions']['created'], 1, 'the task')
        expect(s.cli('journey', 'enroll', 'j', 'u1', '--json').stdout, '{"was_inside":false}\n', 'JSON')
        for wrong in (['enroll', 'k', 'u1'], ['enroll', 'j', 'u2']):
            expect(s.cli('journey', *wrong, check=False).returncode, 1, str(wrong))
        s.stop()


def test_check_points_at_the_mistake(build):
    with harness.scratch() as home:
        (home / 'd').mkdir()
        (home / 'd' / 'a.yaml').write_text('events:\n  Buy: {}\nsegments:\n  x: cuont("Buy") > 0\n')
        done = run(build, 'check', home / 'd')
        expect((done.returncode, 'a.yaml:4:' in done.stderr, 'error' in done.stderr), (3, True, True), done.stderr)
        (home / 'd' / 'a.yaml').write_text('events:\n  Buy: {}\nsegments:\n  x: count("Buy") > 0\n')
        expect(run(build, 'check', home / 'd').returncode, 0, 'good definitions')


def test_an_outcome_of_what_was_never_sent_fails_its_test(build):
    journey = '  %s: {trigger: {event: %s}, steps: [{send: {id: s, channel: email, template: t}}, {wait: 1d}]}\n'
    case = '- test: %s\n  at: 2026-01-01T00:00:00Z\n  events: [{after: 0s, userId: u, event: Buy}, {after: 1h, userId: %s, outcome: opened, of: %s}]\n' \
           '  run_for: 2d\n  expect: {journeys: {j: {completed: 1, active: 0}}}\n'
    with harness.scratch() as home:
        (home / 'a.yaml').write_text('events:\n  Buy: {}\n  Look: {}\nchannels: {email: {consent: not_needed}}\njourneys:\n' +
                                     journey % ('j', 'Buy') + journey % ('k', 'Look'))
        tests = [('by step', 'u', 's'), ('by journey', 'u', 'j.s'), ('another', 'v', 's'), ('not that journey', 'u', 'k.s')]
        (home / 'a.test.yaml').write_text(''.join(case % t for t in tests))
        done = run(build, 'test', home)
        expect(done.stdout.splitlines()[-1], '2 passed, 2 failed', done.stdout + done.stderr)
        expect([said in done.stdout for said in ('opened s, but that step had sent v nothing', 'opened k.s, but that step had sent u nothing')],
               [True, True], done.stdout)


def test_journey_tests_pass_and_fail(build):
    done = run(build, 'test', harness.DEMO / 'definitions')
    expect((done.returncode, done.stdout.splitlines()[-1]), (0, '4 passed, 0 failed'), done.stdout + done.stderr)
    expect(run(build, 'test', harness.DEMO / 'definitions', '--only', 'no such test').returncode, 2, 'a mistyped name')
    with harness.scratch() as home:
        (home / 'a.yaml').write_text('events:\n  Buy: {}\nchannels: {email: {consent: not_needed}}\njourneys:\n  j:\n    state: live\n'
                                     '    trigger: {event: Buy}\n    steps: [{wait: 1h}, {send: {id: s, channel: email, template: t}}]\n')
        expect('there is no test' in run(build, 'test', home).stderr, True, 'definitions alone')
        (home / 'a.test.yaml').write_text('- test: too early\n  at: 2026-01-01T00:00:00Z\n  events: [{after: 0s, userId: u, event: Buy}]\n'
                                          '  run_for: 2h\n  expect: {actions: [{after: 30m, step: s}]}\n')
        done = run(build, 'test', home)
        expect((done.returncode, done.stdout.splitlines()[-1], 'what happened' in done.stdout), (3, '0 passed, 1 failed', True),
               done.stdout + done.stderr)
