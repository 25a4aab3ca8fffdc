"""The command line as a user meets it."""
import json
import subprocess

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


def test_unreachable_server_is_69(build):
    done = run(build, 'stats', '--admin', 'unix:///nonexistent/admin.sock')
    expect((done.returncode, 'hourglassd' in done.stderr), (69, True), 'unreachable')


def test_settings_come_from_flag_environment_file_default(build):
    with harness.scratch() as home:
        (home / 'c.yaml').write_text('admin: unix:///from-file\n')
        done = run(build, 'stats', '--config', home / 'c.yaml', '--ingest-is-not-an-option')
        expect(done.returncode, 2, 'unknown option')
        done = run(build, 'stats', '--config', home / 'c.yaml', '--print-config')
        expect((done.returncode, 'unix:///from-file' in done.stdout), (0, True), 'print-config')
        (home / 'c.yaml').write_text('admn: unix:///x\n')
        done = run(build, 'stats', '--config', home / 'c.yaml')
        expect((done.returncode, "did you mean 'admin'" in done.stderr), (78, True), 'bad config')


def test_ingest_names_the_line_and_column_of_bad_json(build):
    with Server(build) as s, harness.scratch() as home:
        (home / 'bad.ndjson').write_text('{"type":"track","userId":"u","event":"E"}\n{"type": tru}\n')
        done = s.cli('ingest', home / 'bad.ndjson', check=False)
        expect((done.returncode, 'bad.ndjson:2:10' in done.stderr), (65, True), done.stderr)
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


def test_check_points_at_the_mistake(build):
    with harness.scratch() as home:
        (home / 'd').mkdir()
        (home / 'd' / 'a.yaml').write_text('events:\n  Buy: {}\nsegments:\n  x: cuont("Buy") > 0\n')
        done = run(build, 'check', home / 'd')
        expect((done.returncode, 'a.yaml:4:' in done.stderr, 'error' in done.stderr), (3, True, True), done.stderr)
        (home / 'd' / 'a.yaml').write_text('events:\n  Buy: {}\nsegments:\n  x: count("Buy") > 0\n')
        expect(run(build, 'check', home / 'd').returncode, 0, 'good definitions')


def test_journey_tests_pass_and_fail(build):
    done = run(build, 'test', harness.DEMO / 'definitions')
    expect((done.returncode, done.stdout.splitlines()[-1]), (0, '4 passed, 0 failed'), done.stdout + done.stderr)
    with harness.scratch() as home:
        (home / 'a.yaml').write_text('events:\n  Buy: {}\nchannels: {email: {consent: not_needed}}\njourneys:\n  j:\n    state: live\n'
                                     '    trigger: {event: Buy}\n    steps: [{wait: 1h}, {send: {id: s, channel: email, template: t}}]\n')
        (home / 'a.test.yaml').write_text('- test: too early\n  at: 2026-01-01T00:00:00Z\n  events: [{after: 0s, userId: u, event: Buy}]\n'
                                          '  run_for: 2h\n  expect: {actions: [{after: 30m, step: s}]}\n')
        done = run(build, 'test', home)
        expect((done.returncode, done.stdout.splitlines()[-1], 'what happened' in done.stdout), (3, '0 passed, 1 failed', True),
               done.stdout + done.stderr)
