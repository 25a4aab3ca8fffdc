"""What explains: why, explain, preview, dry runs, versions, pictures. Nothing here may change the state of the server."""
import contextlib
import csv
import io
import json
import subprocess

import msgpack

import harness
from harness import Server, expect
from test_cli import run

START = '2026-03-01T10:00:00Z'
CLOCK = ['--fake-clock', START, '--shards', 2]
SHOP = """
events:
  Order Completed: {keep: 365d, properties: {order_id: string, total: number, source: {type: string, from: context.campaign.source}}}
  Never Sent: {keep: 30d}
attributes:
  email: {type: string, identifies: true}
  city: {type: string}
channels:
  email: {address: profile.email, consent: required, caps: [1 per 1d], quiet: "21:00-09:00"}
  crm: {consent: not_needed}
segments:
  buyers: count("Order Completed") > 0
  fresh: 'count("Order Completed", days(7)) >= 1 && (profile.city == "Sochi" || !segment("buyers"))'
templates:
  thanks: {email: {subject: "Order {{ trigger.order_id }}", text: "Thank you from {{ profile.city | default: 'us' }}"}, crm: {text: "unused"}, fallback: plain}
  plain: {email: {subject: "Thank you", text: "Thank you"}}
journeys:
  after_order:
    state: live
    trigger: {event: Order Completed, where: e.total > 5}
    only_if: reachable("email") && e.total < 1000
    reentry: {after: 30d}
    exit: [{after: 10d}]
    goal: {event: Order Completed, within: 10d, value: e.total}
    steps:
      - wait: 1h
      - send: {id: hello, channel: email, template: thanks, vars: {total: =trigger.total}}
      - if: profile.city == "Sochi"
        then: [{wait: 2d}, {goto: last}]
        else: [end]
      - task: {id: last, channel: crm, to: sales, title: Call}
"""


def message(user, hour, total, **more):
    at = '2026-03-%02dT%02d:00:00Z' % (1 + hour // 24, hour % 24)
    return dict({'type': 'track', 'userId': user, 'event': 'Order Completed', 'messageId': '%s-%d' % (user, hour), 'timestamp': at,
                 'properties': {'order_id': 'o%d' % hour, 'total': total}, 'context': {'campaign': {'source': 'mail'}}}, **more)


@contextlib.contextmanager
def shop(build, messages):
    with Server(build, SHOP, CLOCK) as s:
        s.cli('ingest', '--follow-clock', harness.write_lines(s.home / 'm.ndjson', messages))
        yield s


def known(user, hour=11):
    return {'type': 'identify', 'userId': user, 'messageId': 'i' + user, 'timestamp': '2026-03-01T%02d:00:00Z' % hour,
            'traits': {'email': user + '@example.org', 'city': 'Sochi', 'consent': {'email': {'state': 'granted'}}}}


def asked(s, *arguments):
    return json.loads(s.cli(*arguments, '--json').stdout)


def test_explain_gives_every_part_a_value(build):
    with shop(build, [known('u1'), message('u1', 12, 10)]) as s:
        hash_before = s.call('sys.state_hash')['hash']
        found = asked(s, 'segment', 'explain', 'fresh', 'u1')
        parts = [(p['depth'], p['text'], p['value'], p['true']) for p in found['parts']]
        expect(parts[1:4], [(1, 'count("Order Completed", days(7)) >= 1', True, True), (2, 'count("Order Completed", days(7))', 1, False),
                            (1, 'profile.city == "Sochi" || !segment("buyers")', True, True)], 'parts')
        expect((found['member'], found['value']), (True, True), 'member')
        expect(found['next_change'], 1772366400 + 7 * 86400, 'leaves seven days after noon')
        expect(found['parts'][1]['next_change'], found['next_change'], 'because of the window')
        text = s.cli('segment', 'explain', 'fresh', 'u1').stdout
        expect(('u1 is in fresh since 2026-03-01 12:00:00' in text, 'may change 2026-03-08 12:00:00' in text), (True, True), text)
        expect(s.cli('segment', 'explain', 'frehs', 'u1', check=False).returncode, 1, 'unknown segment')
        expect(s.call('sys.state_hash')['hash'], hash_before, 'asking changed nothing')
        s.stop()


def test_counts_are_of_one_second_and_the_same_on_every_level_of_the_processor(build):
    with shop(build, [known('u1'), message('u1', 12, 10), message('u2', 13, 10), known('u3', 14)]) as s:
        questions = ['profile.city == "Sochi"', 'has(profile.city) && count("Order Completed") > 0', 'segment("buyers") || has(profile.email)']
        counts = [s.call('query.count', q) for q in questions]
        expect([(c['count'], c['of'], c['errors'], c['meanwhile']) for c in counts], [(2, 3, 1, 0), (1, 3, 0, 0), (3, 3, 0, 0)], 'counts')
        expect(s.call('segment.overlap', 'buyers', 'fresh'), {'both': 1, 'only_a': 1, 'only_b': 0}, 'u1 is in both')
        s.stop()
        s.start('--cpu', 'portable')
        expect([s.call('query.count', q)['count'] for q in questions], [2, 1, 3], 'portable')
        s.stop()


def test_why_says_what_stands_in_the_way(build):
    with shop(build, [known('u1'), message('u1', 12, 10), message('u2', 13, 10), message('u1', 14, 10)]) as s:
        u1, u2 = (asked(s, 'why', user, 'after_order')[0] for user in ('u1', 'u2'))
        expect((u2['decision'], u2['in_the_way']), ('not_eligible', 'not_eligible'), 'u2 cannot be reached')
        only_if = [(p['text'], p['true']) for p in u2['only_if']]
        expect(only_if[:3], [('reachable("email") && e.total < 1000', False), ('reachable("email")', False), ('e.total < 1000', None)], 'only_if')
        expect((u2['channels'][0]['consent'], u2['channels'][0]['address']), ('no_consent', False), 'channel')
        expect((u1['decision'], u1['in_the_way'], u1['entries']), ('reentry', 'reentry', 1), 'the order of 14:00 ended it and could not start it anew')
        expect(u1['reentry'], {'kind': 'after', 'allowed': False, 'from': 1772366400 + 30 * 86400}, 're-entry')
        expect(u1['channels'][0]['caps'][0]['used'], 1, 'the mail of 13:00 counts')
        text = s.cli('why', 'u1').stdout
        expect(('re-entry not yet allowed, decided 2026-03-01 14:00:00' in text, 'may not enter again before 2026-03-31 12:00:00' in text), (True, True), text)
        expect(s.cli('why', 'u1', 'nope', check=False).returncode, 1, 'unknown journey')
        s.stop()


def test_why_says_where_somebody_waits(build):
    with shop(build, [known('u1', 19), message('u1', 20, 10)]) as s:
        s.call('clock.advance', {'by': '90m'})
        inside = asked(s, 'why', 'u1', 'after_order')[0]
        expect((inside['decision'], inside['inside']['step'], inside['in_the_way']), ('quiet', 'hello', 'already_inside'), 'inside')
        expect(inside['until'], 1772442000, 'until nine')  # 2026-03-02T09:00:00Z
        expect(inside['channels'][0]['quiet_until'], 1772442000, 'the channel is quiet')
        s.stop()


TRIGGERS = """
events:
  Order Completed: {keep: 365d, properties: {order_id: string, total: number}}
attributes: {email: {type: string, identifies: true}, birthday: {type: date}}
channels: {crm: {consent: not_needed}}
segments:
  buyers: count("Order Completed") > 0
  recent: ago("Order Completed") < days(2)
journeys:
  came:    {state: live, trigger: {segment_entered: buyers}, goal: {event: Order Completed, within: 9d}, exit: [{after: 9d}], steps: [{wait: 1d}]}
  went:    {state: live, trigger: {segment_left: recent}, goal: {event: Order Completed, within: 9d}, exit: [{after: 9d}], steps: [{wait: 5d}]}
  birth:   {state: live, trigger: {date: profile.birthday, every: year, at: "10:00"}, exit: [{after: 9d}], steps: [{wait: 1d}]}
  half:    {state: live, trigger: {event: Order Completed}, holdout: 50%, reentry: always, goal: {event: page}, exit: [{after: 9d}], steps: [{wait: 1h}]}
  stopper: {state: live, trigger: {event: Order Completed}, goal: {event: page}, exit: [{after: 9d}],
            steps: [{mute: {for: 5d, types: [mass]}}, {pause: {journey: went, for: 4d}}]}
"""


def test_why_knows_what_a_trigger_waits_for(build):
    def now(journey, user='u1'):
        line = next(x for x in s.cli('why', user, journey).stdout.splitlines() if x.startswith('  now'))
        return asked(s, 'why', user, journey)[0], line[12:]

    with Server(build, TRIGGERS, CLOCK) as s:
        person = dict(known('u2'), traits={'email': 'u2@example.org', 'birthday': '1990-05-06'})
        s.cli('ingest', '--follow-clock', harness.write_lines(s.home / 'm.ndjson', [person]))
        before, said = now('came', 'u2')
        expect((before['in_the_way'], said), ('not_in_segment', 'not in segment buyers; entering it starts the journey'), 'never bought')
        expect(before['triggers'], [{'kind': 'segment_entered', 'name': 'buyers', 'member': False, 'since': None, 'next': None,
                                    'where': None, 'from': None, 'to': None, 'value': None}], 'its trigger')
        expect(now('birth', 'u2')[0]['triggers'][0]['next'], 1778061600, 'the birthday')  # 2026-05-06T10:00:00Z
        s.cli('ingest', '--follow-clock', harness.write_lines(s.home / 'm.ndjson', [message('u1', 12, 10)]))
        expect((now('birth')[0]['in_the_way'], now('birth')[1]), ('no_date', 'no date to start at'), 'without a birthday')
        inside = now('came')[0]
        expect((inside['in_the_way'], inside['inside']['state'], inside['finished']), ('already_inside', 'active', None), 'inside')
        expect(now('went')[0]['in_the_way'], 'paused', 'a step of another journey holds it')
        expect(now('went')[0]['paused_until'], 1772366400 + 4 * 86400, 'until then')
        expect(now('went')[0]['muted_until'], 1772366400 + 5 * 86400, 'and messages, too')
        s.call('clock.advance', {'by': '5d'})
        text = s.cli('why', 'u1', 'came').stdout
        expect(('finished  entered 2026-03-01 12:00:00; its goal still counts until 2026-03-10 12:00:00' in text, 'trace' in text), (True, False), text)
        expect((now('came')[0]['inside'], now('came')[0]['in_the_way']), (None, 'reentry'), 'finished')
        s.call('clock.advance', {'by': '5d'})
        expect(now('came')[0]['finished'], None, 'forgotten')
        expect(now('went')[0]['in_the_way'], 'not_in_segment', 'it left while the journey was paused')
        expect(now('went')[1], 'not in segment recent; leaving it starts the journey, so it has to be entered first', 'and has to come back')
        s.stop()


WHERE = """
events: {Go: {keep: 90d, properties: {s: string}}}
attributes: {city: string, points: number}
journeys:
  other:  {state: live, trigger: {event: Go, where: e.s == "x"}, goal: {event: page}, exit: [{after: 9d}], steps: [{wait: 1d}]}
  sochi:  {state: live, trigger: {event: Go, where: 'e.s == "x" && profile.city == "Omsk"'}, goal: {event: page}, exit: [{after: 9d}], steps: [{wait: 1d}]}
  points: {state: live, trigger: {attribute_changed: points, from: 1, to: 2}, goal: {event: page}, exit: [{after: 9d}], steps: [{wait: 1d}]}
"""


def test_skipping_and_cancelling_somebody_outside_says_so(build):
    with shop(build, [known('u1'), message('u1', 12, 10), known('u2')]) as s:
        before = s.call('sys.state_hash')
        for word in ('skip', 'cancel'):
            done = s.cli('journey', word, 'after_order', 'u2', check=False)
            expect((done.returncode, 'u2 is not inside after_order: nothing to ' + word in done.stderr), (1, True), done.stderr)
        expect(s.call('sys.state_hash'), before, 'and nothing was written')
        for word in ('skip', 'cancel'):
            expect(s.cli('journey', word, 'after_order', 'u1').returncode, 0, word)
        expect(s.cli('journey', 'cancel', 'after_order', 'u1', check=False).returncode, 1, 'who left is outside')
        s.stop()


def test_why_shows_what_a_trigger_asks_of_its_event(build):
    with Server(build, WHERE, CLOCK) as s:
        person = dict(known('u1'), traits={'city': 'Sochi', 'points': 1})
        went = {'type': 'track', 'userId': 'u1', 'event': 'Go', 'messageId': 'g', 'timestamp': '2026-03-01T12:00:00Z', 'properties': {'s': 'y'}}
        s.cli('ingest', '--follow-clock', harness.write_lines(s.home / 'm.ndjson', [person, went]))
        other, sochi, points = (asked(s, 'why', 'u1', j)[0] for j in ('other', 'sochi', 'points'))
        expect((other['decision'], other['in_the_way']), ('none', 'depends on the event'), 'an event may pass')
        expect([(p['text'], p['true']) for p in other['triggers'][0]['where']][0], ('e.s == "x"', None), 'where')
        expect(sochi['in_the_way'], 'where', 'no event can pass')
        expect([(p['text'], p['value']) for p in sochi['triggers'][0]['where']][-1], ('profile.city', 'Sochi'), 'with its values')
        change = points['triggers'][0]
        expect((change['from'], change['to'], change['value'], points['in_the_way']), ('1', '2', 1, 'none'), 'a change')
        expect('attribute_changed points from 1 to 2, now 1' in s.cli('why', 'u1', 'points').stdout, True, 'as text')
        text = s.cli('why', 'u1', 'sochi').stdout
        for said in ('event Go, where', '"Sochi"', "its trigger's `where` is false", 'times are in UTC'):
            expect(said in text, True, text)
        s.stop()


RECALLED = """
events:
  Go:    {keep: 90d, properties: {s: string, n: number}}
  Brief: {keep: 1d, properties: {s: string}}
attributes: {city: string}
journeys:
  pair:    {trigger: {event: Go, where: 'e.s == "x" && e.n > 1 && profile.city == "Sochi"'}, only_if: trigger.n < 9, goal: {event: page}, exit: [{after: 9d}], steps: [{wait: 1d}]}
  short:   {trigger: {event: Brief, where: e.s == "x"}, goal: {event: page}, exit: [{after: 9d}], steps: [{wait: 1d}]}
  sources: {trigger: {event: Go, where: context.campaign.source == "x"}, goal: {event: page}, exit: [{after: 9d}], steps: [{wait: 1d}]}
"""


def test_why_shows_the_values_of_the_last_event_and_which_are_not_kept(build):
    def went(name, hour, **properties):
        return {'type': 'track', 'userId': 'u1', 'event': name, 'messageId': '%s%d' % (name, hour), 'timestamp': '2026-03-01T%02d:00:00Z' % hour,
                'properties': properties}

    def parts(journey, user='u1'):
        return [(p['text'], p['value'], p['true'], p['event_at'], p['unknown']) for p in asked(s, 'why', user, journey)[0]['triggers'][0]['where']]

    with Server(build, RECALLED, CLOCK) as s:
        s.cli('ingest', '--follow-clock', harness.write_lines(s.home / 'm.ndjson', [
            dict(known('u1'), traits={'city': 'Omsk'}), dict(known('u2'), traits={}), went('Go', 12, s='x', n=5), went('Brief', 12, s='y'), went('Go', 13, s='x')]))
        last = 1772370000  # 2026-03-01T13:00:00Z
        found = parts('pair')
        expect(found[1:3], [('e.s == "x"', True, None, last, None), ('e.s', 'x', None, last, None)], 'its value, and that it decides nothing')
        expect([p[1:4] for p in found[3:5]] + [bool(found[4][4])], [(None, None, last), (None, None, last), True], 'n did not come with it')
        expect((found[0][2], found[-2][2:4]), (False, (False, None)), 'the city decides alone')
        only_if = asked(s, 'why', 'u1', 'pair')[0]['only_if'][0]
        expect((only_if['text'], only_if['true'], only_if['event_at']), ('trigger.n < 9', None, last), 'the trigger is this event, too')
        expect(parts('pair', 'u2')[1][1:], (None, None, None, 'such an event never happened'), 'never')
        expect(parts('sources')[0][1:], (None, None, last, 'the context of an event is not kept'), 'context')
        expect(parts('short')[0], ('e.s == "x"', False, None, last - 3600, None), 'kept for a day')
        text = s.cli('why', 'u1', 'pair').stdout
        expect('  "x"              e.s   of the last one, 2026-03-01 13:00:00\n' in text, True, text)
        old = dict(went('Brief', 1, s='x'), userId='u2', timestamp='2026-02-20T10:00:00Z')
        s.cli('ingest', harness.write_lines(s.home / 'm.ndjson', [old]))
        expect(parts('short', 'u2')[0][1:], (None, None, 1771581600, 'what it brought is not kept'), 'older than a day when it came')
        s.stop()


def test_why_tells_what_is_left_of_a_removed_journey(build):
    with shop(build, [known('u1'), message('u1', 12, 10), message('u2', 13, 10)]) as s:
        (s.definitions / 'shop.yaml').write_text(SHOP[:SHOP.index('journeys:')])
        s.cli('apply', s.definitions)
        u1, u2 = (asked(s, 'why', user, 'after_order')[0] for user in ('u1', 'u2'))
        expect((u1['state'], u1['in_the_way'], u1['decision'], u1['step'], u1['inside']['does']), ('removed', 'removed', 'sent', 'hello', 'wait'), 'still inside')
        expect((u2['state'], u2['decision'], u2['at'], u2['inside']), ('removed', 'not_eligible', 1772370000, None), 'never inside')
        expect(s.cli('why', 'u1').stdout.startswith('after_order (removed)\n  last      sent at step hello, decided 2026-03-01 13:00:00'), True, s.cli('why', 'u1').stdout)
        expect('it was removed' in s.cli('why', 'u2').stdout, True, 'in words')
        s.call('clock.advance', {'by': '3d'})
        s.cli('apply', s.definitions)
        done = asked(s, 'why', 'u1')[0]
        expect((done['decision'], done['inside'], done['entries']), ('completed', None, 1), 'to its end')
        expect([m['journey'] for m in asked(s, 'profile', 'u1')['messages']], ['after_order'], 'its message keeps its name')
        s.stop()


def test_why_says_who_is_in_the_holdout(build):
    with Server(build, TRIGGERS, CLOCK) as s:
        users = ['u%d' % i for i in range(40)]
        s.cli('ingest', '--follow-clock', harness.write_lines(s.home / 'm.ndjson', [known(u) for u in users]))
        foreseen = {u: asked(s, 'why', u, 'half')[0]['held_out'] for u in users}
        expect(5 < sum(foreseen.values()) < 35, True, 'about a half')
        s.cli('ingest', '--follow-clock', harness.write_lines(s.home / 'm.ndjson', [message(u, 12, 10) for u in users]))
        for user in users:
            found, held_out = asked(s, 'why', user, 'half')[0], foreseen[user]
            expect((found['decision'], found['held_out'], found['inside']['state'], found['in_the_way']),
                   ('held_out', True, 'held_out', 'held_out') if held_out else ('entered', False, 'active', 'already_inside'), user)
            text = s.cli('why', user, 'half').stdout
            expect('50% of people; ' + ('this one is among them' if held_out else 'not this one') in text, True, text)
        s.stop()


def test_preview_renders_for_one_person(build):
    with shop(build, [known('u1'), message('u1', 12, 10), known('u2')]) as s:
        one, two = (asked(s, 'preview', 'thanks', '--profile', user)[0] for user in ('u1', 'u2'))
        expect(one['parts'][0]['fields'], {'subject': 'Order o12', 'text': 'Thank you from Sochi'}, 'inside the journey')
        expect(one['vars'], {'total': 10}, 'vars')
        expect((two['inside'], two['parts'][0]['template'], two['trigger_at']), (False, 'plain', None), 'without a trigger its fallback is used')
        expect((one['inside'], one['trigger_event'], one['trigger_at']), (True, 'Order Completed', 1772366400), 'its trigger')
        expect('no Order Completed of this person is kept' in s.cli('preview', 'thanks', '--profile', 'u2').stdout, True, 'and that is said')
        s.cli('ingest', '--follow-clock', harness.write_lines(s.home / 'm.ndjson', [message('u2', 14, 20), message('u2', 15, 3)]))
        two = asked(s, 'preview', 'thanks', '--profile', 'u2')[0]
        expect((two['inside'], two['parts'][0]['fields']['subject'], two['vars']), (False, 'Order o14', {'total': 20}), 'the last one that would start it')
        expect('(not inside: `trigger` is the last Order Completed, 2026-03-01 14:00:00)' in s.cli('preview', 'thanks', '--profile', 'u2').stdout, True, 'text')
        expect('Order o12' in s.cli('preview', 'thanks', '--profile', 'u1').stdout, True, 'as text')
        behind = asked(s, 'preview', 'plain', '--profile', 'u1')[0]
        expect((behind['step'], behind['parts'][0]['template']), ('hello', 'plain'), 'a template that is a fallback only')
        expect([part['channel'] for part in one['parts']], ['email'], 'crm is no channel of the step')
        expect(s.cli('preview', 'nope', '--profile', 'u1', check=False).returncode, 1, 'unused template')
        expect(s.cli('preview', 'thanks', check=False).returncode, 2, 'nobody named')
        s.stop()


def test_a_test_message_arrives_is_counted_nowhere_and_replays(build):
    with shop(build, [known('u1'), message('u1', 12, 10)]) as s:
        before = s.stats()
        one = asked(s, 'send-test', 'after_order', 'hello', '--to', 'me@example.org', '--profile', 'u1')['action_id']
        two = asked(s, 'send-test', 'after_order', 'hello', '--to', 'u1@example.org')['action_id']
        rpc = s.rpc()
        again = [rpc.call('actions.test', {'journey': 'after_order', 'step': 'hello', 'to': 'me@example.org', 'id': 'u1', 'request_id': 'r1'})
                 for _ in range(2)]
        expect(again[0], again[1], 'a repeated call sends once')
        rpc.call('actions.subscribe', {'name': 'dispatch'})
        found = []
        while len(found) < 3:
            found += [a for a in rpc.notification()[1] if isinstance(a, dict)]
        expect([(a['action_id'], a['to'], a['test']) for a in found],
               [(one, 'me@example.org', True), (two, 'u1@example.org', True), (again[0]['action_id'], 'me@example.org', True)], 'what was sent')
        expect((found[0]['vars']['total'], found[0]['vars']['subject'], found[0]['kind']), (10, 'Order o12', 'send'), 'with values')
        expect(s.stats()['outbox']['pending'], 3, 'pending like any other')
        expect(rpc.call('actions.ack', {'ids': [one, two]})['confirmed'], 2, 'confirmed like any other')
        rpc.close()
        after = s.stats()
        for part in ('actions', 'journeys', 'events', 'timers'):
            expect(after[part], before[part], part)
        expect(asked(s, 'profile', 'u1')['messages'], [], 'no message of this person')
        state = s.call('sys.state_hash')
        s.kill()
        s.start()
        expect((s.call('sys.state_hash'), s.stats()['outbox']['pending']), (state, 1), 'replayed')
        for wrong, said in ((['after_ordre', 'hello'], 'no journey'), (['after_order', 'last'], 'no message'), (['after_order', 'hello'], "nobody's address")):
            done = s.cli('send-test', *wrong, '--to', 'stranger@example.org', check=False)
            expect((done.returncode, said in done.stderr), (1, True), done.stderr)
        expect('--profile ID' in done.stderr, True, done.stderr)
        expect(s.cli('send-test', 'after_order', 'hello', check=False).returncode, 2, 'no address')
        expect('send-test' in s.cli('completion', 'bash').stdout, True, 'completion')
        s.stop()


ARRIVING = """
events:
  Order Completed: {keep: 365d, properties: {order_id: string, total: number, coupon: string}}
  Cart Opened: {keep: 30d}
  Paid: {keep: 30d, also: [Payment Done]}
  page: {keep: 30d}
attributes:
  email: {type: string, identifies: true}
  town: {type: string}
  fresh: {type: string}
"""


def test_check_live_compares_with_what_arrives(build):
    def track(name, number):
        return {'type': 'track', 'userId': 'u1', 'event': name, 'messageId': '%s%d' % (name, number), 'timestamp': '2026-03-01T12:00:%02dZ' % number}

    def problems(*more):
        done = s.cli('check', s.definitions, '--live', '--json', *more, check=False)
        return done.returncode, [(p['line'], p['reason'], p['fix']) for p in json.loads(done.stdout) if 'arriv' in p['reason'] or 'has' in p['reason']]

    with Server(build, ARRIVING.replace('  fresh: {type: string}\n', ''), CLOCK) as s:
        s.cli('ingest', harness.write_lines(s.home / 'm.ndjson', [
            known('u1'), message('u1', 12, 10), track('Cart Opend', 1), track('Cart Opend', 2), track('Payment Done', 3), track('Signed Up', 4)]))
        before = s.call('sys.state_hash')
        (s.definitions / 'shop.yaml').write_text(ARRIVING)
        code, found = problems()
        expect(code, 0, 'warnings alone')
        expect([(line, reason) for line, reason, _ in found],
               [(3, "'Cart Opend' arrives (2) and is not declared"), (3, "'Signed Up' arrives (1) and is not declared"),
                (3, "no 'Order Completed' that is kept has brought 'coupon'"), (4, "'Cart Opened' has never arrived"), (6, "'page' has never arrived"),
                (9, "nobody has 'town'")], 'fresh is not known to the server yet')
        expect('Cart Opend' in found[3][2], True, found[3][2])
        expect(problems('--strict')[0], 3, 'strict')
        (s.definitions / 'shop.yaml').write_text('segments: {a: count("page") > 0}\n')
        expect([line for line, reason, _ in problems()[1] if 'Order Completed' in reason], [1], 'without a block of events')
        expect(s.call('sys.state_hash'), before, 'asking changed nothing')
        s.stop()
    expect(run(build, 'check', build.parent.parent / 'tools' / 'playbooks', '--live', '--admin', 'unix:///nowhere').returncode, 69, 'no server')


def test_dry_run_finds_what_life_found_and_touches_nobody(build):
    people = [known('u%d' % i) for i in range(30)]
    orders = [message('u%d' % (i % 30), 12 + i, i) for i in range(200)]
    with shop(build, people + orders) as s:
        before = s.call('sys.state_hash')['hash'], s.stats()['actions'], s.stats()['events']
        report = asked(s, 'apply', s.definitions, '--dry-run')
        after = s.call('sys.state_hash')['hash'], s.stats()['actions'], s.stats()['events']
        expect(after, before, 'state, actions, events')
        lived = s.stats()['journeys']['after_order']
        dry = report['journeys'][0]
        for key in ('entered', 'completed', 'goal', 'exited', 'converted'):
            expect(dry[key], lived[key], key)
        expect(dry['inside'], lived['active'], 'inside')
        expect(report['actions'], s.stats()['actions']['created'], 'actions')
        expect(sum(sum(c['days'].values()) for c in report['channels']), report['actions'], 'by channel and day')
        expect((report['people'], report['events'], report['affected']), (30, 230, 30), 'people')
        expect(any('Never Sent' in line for line in report['unknown']), True, 'unknown events are named')
        (s.definitions / 'shop.yaml').write_text(SHOP.replace('  city:', '  birthday: {type: date}\n  city:').replace('total: number,', 'total: number, coupon: string,'))
        expect([line for line in asked(s, 'apply', s.definitions, '--dry-run')['unknown'] if line[:2] == 'no'],
               ["no kept event 'Order Completed' has 'coupon'", "nobody has a kept event 'Never Sent'", "nobody has 'birthday'"], 'and what else it could not know')
        text = s.cli('apply', s.definitions, '--dry-run').stdout
        expect(('nobody was touched' in text, 'not known' in text), (True, True), text)
        (s.definitions / 'shop.yaml').write_text(SHOP.replace('e.total > 5', 'e.total > 180'))
        fewer = asked(s, 'apply', s.definitions, '--dry-run')
        expect((fewer['entries'], fewer['affected']), (19, 19), 'a stricter trigger starts fewer')
        (s.definitions / 'shop.yaml').write_text(SHOP.replace('count(', 'cuont('))
        expect(s.cli('apply', s.definitions, '--dry-run', check=False).returncode, 3, 'mistakes')
        expect(s.stats()['definitions']['version'], 1, 'nothing was applied')
        s.stop()


def test_dry_run_says_who_is_inside_and_what_caps_hold(build):
    people = [known('u%d' % i) for i in range(7)]
    orders = [message('u%d' % i, 12, 10) for i in range(7)]  # each waits an hour for the mail, then two days for the task
    capped = SHOP.replace('- wait: 1h', '- wait: 2h').replace('    steps:', '    steps:\n      - send: {id: first, channel: email, template: plain}')
    with shop(build, people + orders) as s:
        def dry(text):
            (s.definitions / 'shop.yaml').write_text(text)
            return asked(s, 'apply', s.definitions, '--dry-run'), s.cli('apply', s.definitions, '--dry-run').stdout

        s.call('clock.advance', {'by': '90m'})
        expect(s.stats()['journeys']['after_order']['active'], 7, 'inside')
        same, said = dry(SHOP)
        expect((same['people_inside'], 'people inside' in said), ([], False), 'nothing differs')
        changed, said = dry(capped)
        expect(changed['people_inside'], [{'name': 'after_order', 'change': 'changed', 'people': 7, 'stay': 7, 'move': 0, 'leave': 0}], 'changed')
        expect('after_order              changed: 7 stay on their version, 0 move, 0 leave' in said, True, said)
        gone, said = dry(SHOP[:SHOP.index('journeys:')])
        expect([(j['change'], j['people'], j['stay'], j['leave']) for j in gone['people_inside']], [('removed', 7, 7, 0)], 'removed')
        s.call('clock.advance', {'by': '60m'})
        held, said = dry(capped)  # one mail a day: the first at noon, the second is due at 14:00
        expect((held['journeys'][0]['deferred'], held['actions']), ({'cap': 7}, 7), 'caps')
        expect('after_order              sent later: cap 7' in said, True, said)
        s.cli('apply', s.definitions)  # and so it is: all of them finish what they began
        s.call('clock.advance', {'by': '3d'})
        counters = s.stats()['journeys']['after_order']
        expect([counters[k] for k in ('entered', 'active', 'completed', 'moved', 'exited', 'cancelled')], [7, 0, 7, 0, 0, 0], 'life')
        s.stop()


def answer_bytes(s, method, params):
    """The whole answer as it came."""
    rpc, data = s.rpc(), b''
    rpc.socket.sendall(msgpack.packb([0, 1, method, [params]]))
    while True:
        part = rpc.socket.recv(1 << 20)
        expect(part != b'', True, 'an answer')
        data += part
        try:
            msgpack.unpackb(data)
        except ValueError:  # not all of it yet
            continue
        rpc.close()
        return data


def actions_by_person(s):
    """Every pending action record, byte for byte, in each person's order."""
    data, found = answer_bytes(s, 'actions.queue', {'limit': 1000}), {}
    reader = msgpack.Unpacker()
    reader.feed(data)
    expect((reader.read_array_header(), reader.unpack(), reader.unpack(), reader.unpack()), (4, 1, 1, None), 'a response')
    expect((reader.read_map_header(), reader.unpack()), (2, 'actions'), 'one page')
    for _ in range(reader.read_array_header()):
        begin = reader.tell()
        record = reader.unpack()
        found.setdefault(record['profile']['user_id'], []).append(data[begin:reader.tell()])
    expect(sum(map(len, found.values())), s.stats()['actions']['created'], 'all of them')
    return found


def test_a_day_with_questions_ends_like_one_without(build):
    messages = [known('u%d' % i) for i in range(10)] + [message('u%d' % (i % 10), 12 + i, 20) for i in range(60)]
    ends = []
    for curious in (False, True):
        with Server(build, SHOP, CLOCK + ['--hash-secret', '00' * 16]) as s:
            draft = s.home / 'draft'  # would be felt if it were applied
            draft.mkdir()
            (draft / 'shop.yaml').write_text(SHOP.replace('- wait: 1h', '- wait: 2h').replace('days(7)', 'days(14)'))
            for part in (messages[:40], messages[40:]):
                s.cli('ingest', '--follow-clock', harness.write_lines(s.home / 'm.ndjson', part))
                for question in (['apply', draft, '--dry-run'], ['check', draft, '--live'], ['why', 'u1'], ['segment', 'explain', 'fresh', 'u2'],
                                 ['preview', 'thanks', '--profile', 'u3'], ['definitions', 'diff', '1']) if curious else ():
                    s.cli(*question)
            s.call('clock.advance', {'by': '30d'})
            ends.append((actions_by_person(s), s.call('sys.state_hash'), s.stats()['actions'], s.stats()['journeys']))
            s.stop()
    expect(len(ends[0][0]), 8, 'people with actions: the night held the mail of the others until they ordered again')
    for person, records in ends[0][0].items():
        expect(ends[1][0].get(person), records, 'the records of ' + person)
    expect(ends[1], ends[0], 'actions, state hash, counters')


def test_export_pages_lead_to_everybody_once(build):
    with shop(build, [message('u%d' % i, 12, 1) for i in range(500)] + [known('u3', 13)]) as s:
        found, after = [], 0
        while after is not None:
            page = s.call('profile.export', {'after': after, 'limit': 7})
            found += page['people']
            after = page['next']
        expect(sorted(p['user_id'] for p in found), sorted('u%d' % i for i in range(500)), 'everybody once')
        one = next(p for p in found if p['user_id'] == 'u3')
        expect(one['events']['Order Completed'], [[1772366400, {'order_id': 'o12', 'total': 1.0, 'source': 'mail'}]], 'events')
        expect((one['attributes']['city'][0], one['consent']), ('Sochi', {'email': 'granted'}), 'attributes, consent')
        s.stop()


def test_versions_differ_and_come_back(build):
    with Server(build, SHOP, CLOCK) as s:
        (s.definitions / 'shop.yaml').write_text(SHOP.replace('days(7)', 'days(14)'))
        s.cli('apply', s.definitions)
        text = s.cli('definitions', 'diff', '1').stdout
        changed = [line for line in text.splitlines() if line[:1] in '+-']
        expect((len(changed), 'days(7)' in changed[0], 'days(14)' in changed[1]), (2, True, True), text)
        expect(s.cli('definitions', 'diff', '2').stdout, 'no difference\n', 'the running version')
        s.cli('definitions', 'revert', '1')
        expect(s.call('definitions.get')['files']['shop.yaml'], SHOP, 'back again')
        expect([v['version'] for v in asked(s, 'definitions', 'history')], [1, 2, 3], 'as a new version')
        expect(s.cli('definitions', 'revert', '1').stdout.startswith('nothing to do'), True, 'twice changes nothing')
        expect(s.cli('definitions', 'diff', '9', check=False).returncode, 1, 'no such version')
        s.stop()


def test_graph_and_map_show_what_is_written(build):
    with harness.scratch() as home:
        (home / 'a.yaml').write_text(SHOP + '  twin:\n    trigger: {event: Order Completed, where: e.total > 5}\n'
                                     '    only_if: reachable("email") && e.total < 1000\n    steps: [{task: {channel: crm, title: "=1+1"}}]\n')
        dot = run(build, 'graph', home, 'after_order').stdout
        expect((dot.count(' -> '), 'shape=diamond' in dot, 'goal: ' in dot, 'exit: ' in dot), (9, True, True, True), dot)
        nodes = json.loads(run(build, 'graph', home, 'after_order', '--json').stdout)
        label = {n['id']: n['label'] for n in nodes['nodes']}
        paths = {(label[e['from']], label[e['to']]) for e in nodes['edges']}
        expect(('wait 2d', 'task crm: Call') in paths, True, 'goto leads to its step')
        expect(('if profile.city == "Sochi"', 'end') in paths, True, 'end leads out')
        expect('flowchart TD' in run(build, 'graph', home, 'twin', '--format', 'mermaid').stdout, True, 'mermaid')
        expect(run(build, 'graph', home, 'twn').returncode, 1, 'unknown journey')
        expect(run(build, 'graph', home, 'twin', '--format', 'svg').returncode, 2, 'unknown format')
        rows = list(csv.DictReader(io.StringIO(run(build, 'map', home, '--csv').stdout, newline='')))
        expect([(r['name'], r['state']) for r in rows], [('after_order', 'live'), ('twin', 'live')], 'chains')
        expect((rows[0]['channels'], rows[0]['steps'], rows[0]['limits']), ('email, crm', '5', 'reentry {after: 30d}'), 'cells')
        expect((rows[0]['problems'], rows[1]['problems']), ('starts like twin', 'no goal; no exit; starts like after_order'), 'problems')
        expect(run(build, 'map', home, '--strict').returncode, 3, 'strict')


def test_simulate_twice_gives_the_same_bytes(build):
    messages = [known('u%d' % i) for i in range(20)] + [message('u%d' % (i % 20), 12 + i, 50) for i in range(100)]
    with harness.scratch() as home:
        (home / 'd').mkdir()
        (home / 'd' / 'shop.yaml').write_text(SHOP)
        lines = harness.write_lines(home / 'm.ndjson', messages)
        plain = ['simulate', '--definitions', home / 'd', '--events', lines]
        react = plain + ['--respond', '{email: {open: 50%, click: 100%, after: 2h}}', '--until', '2026-03-20T00:00:00Z']
        for arguments in (plain, react):
            expect(run(build, *arguments).stdout, run(build, *arguments).stdout, 'twice')
        everything = run(build, *plain, '--until', '2026-03-20T00:00:00Z').stdout.splitlines()
        some = run(build, *plain, '--until', '2026-03-20T00:00:00Z', '--from', '2026-03-02T00:00:00Z').stdout.splitlines()
        expect((some, 0 < len(some) < len(everything)), (everything[-len(some):], True), '--from only leaves out the beginning')
        expect(len(run(build, *plain, '--until', '2026-03-02T00:00:00Z').stdout.splitlines()) < len(everything), True, '--until ends earlier')
        expect(run(build, *plain, '--respond', '{email: {open: lots}}').returncode, 2, 'a mistake in --respond')


REACTIONS = """
events:
  Order Completed: {keep: 365d}
channels: {email: {consent: not_needed}, crm: {consent: not_needed}}
journeys:
  mail:    {state: live, trigger: {event: Order Completed}, exit: [{after: 9d}], steps: [{send: {channel: email, template: t}}]}
  opened:  {state: live, trigger: {event: Message Opened}, exit: [{after: 9d}], steps: [{task: {channel: crm, title: Opened}}]}
  clicked: {state: live, trigger: {event: Message Clicked}, exit: [{after: 9d}], steps: [{task: {channel: crm, title: Clicked}}]}
  bounced: {state: live, trigger: {event: Message Bounced}, exit: [{after: 9d}], steps: [{task: {channel: crm, title: Bounced}}]}
"""


def test_who_clicks_has_opened_and_who_bounces_has_not(build):
    with harness.scratch() as home:
        (home / 'd').mkdir()
        (home / 'd' / 'shop.yaml').write_text(REACTIONS)
        lines = harness.write_lines(home / 'm.ndjson', [message('u%d' % i, 1, 1) for i in range(1000)])
        found = run(build, 'simulate', '--definitions', home / 'd', '--events', lines, '--until', '2026-03-03T00:00:00Z',
                    '--respond', '{email: {open: 60%, click: 30%, bounce: 40%, after: 2h}}').stdout
        who = {}
        for action in map(json.loads, found.splitlines()):
            who.setdefault(action['journey'], set()).add(action['profile']['user_id'])
        opened, clicked, bounced = (who[j] for j in ('opened', 'clicked', 'bounced'))
        expect((clicked < opened, opened & bounced, opened | bounced == who['mail']), (True, set(), True), 'each does one thing')
        for some, share in ((opened, 600), (clicked, 300), (bounced, 400)):
            expect(share - 60 < len(some) < share + 60, True, '%d of a thousand, %d found' % (share, len(some)))


def test_simulate_says_what_did_not_count_and_what_reacts_to_nothing(build):
    with harness.scratch() as home:
        (home / 'd').mkdir()
        (home / 'd' / 'shop.yaml').write_text(REACTIONS)
        good = message('u1', 1, 1)
        lines = harness.write_lines(home / 'm.ndjson', [good, dict(good, event='Order Complete'), dict(good, type='trak'), {'type': 'track', 'event': 'x'}])
        plain = ['simulate', '--definitions', home / 'd', '--events', lines]
        done = run(build, *plain)
        expect((done.returncode, done.stderr.splitlines()[-2:]), (0, ['hourglass: 2 messages were rejected: no_id 1, bad_type 1',
                                                                      'hourglass: undeclared events, 1 in all: Order Complete 1']), 'what did not count')
        expect('0 messages' in run(build, *plain, '--until', '2020-01-01T00:00:00Z').stderr, True, 'all of them are later')
        expect('no message is as late as --from 2027-01-01T00:00:00Z' in run(build, *plain, '--from', '2027-01-01T00:00:00Z').stderr, True, 'and none so late')
        expect('as late as' in run(build, *plain, '--from', '2026-03-01T01:00:00Z').stderr, False, 'the last one is')
        expect(run(build, *plain, '--until', '2026-01-01T00:00:00Z', '--from', '2026-01-01T00:00:00Z').returncode, 2, 'an empty span')
        for spec, said in (('{emial: {open: 5%}}', "1:2: error: there is no channel of this name"), ('{emial: {open: 5%}}', "did you mean 'email'?"),
                           ('{email: {opne: 5%}}', "did you mean 'open'?"), ('{email: {zzz: 5%}}', 'deliver, open, click'), ('', 'a map was expected'),
                           ('{email: {after: 2h}}', '1:9: error'), ('{email: {open: 70%, bounce: 40%}}', 'more than 100%')):
            done = run(build, *plain, '--respond', spec)
            expect((done.returncode, said in done.stderr, done.stdout), (2, True, ''), done.stderr)


def test_completions_are_scripts(build):
    bash = run(build, 'completion', 'bash').stdout
    expect(subprocess.run(['bash', '-n'], input=bash, text=True).returncode, 0, 'bash reads it')
    for shell in ('zsh', 'fish'):
        expect(('dry-run' in run(build, 'completion', shell).stdout), True, shell)
    man = run(build, 'completion', 'man').stdout
    expect((man.startswith('.TH HOURGLASS 1'), '.SS apply DIR' in man), (True, True), 'man')
    expect(run(build, 'completion', 'tcsh').returncode, 2, 'unknown shell')
